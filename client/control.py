# SPDX-License-Identifier: Apache-2.0
"""The verbs that ask a search for something and print what state it is in then: they differ in words only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from client.completion import search_argument
from client.connection import Connection, connect
from client.output import write, write_message
from client.settings import Output, Settings, output_option
from client.text import word
from nas.api.v1 import search_pb2
from nas.text import escape

Ask = Callable[[Connection, str], Any]
"""``ask(connection, search_id)`` returns the response, which holds the search."""


def control_command(name: str, ask: Ask, help_text: str) -> click.Command:
    """Make the verb ``name``; ``help_text`` says what it does in its first sentence."""
    epilog = f"\b\nExamples:\n  nas-client {name} 3f2a9c01b7de\n  nas-client {name} 3f2a9c01b7de --output json\n"

    @click.command(name, help=help_text, epilog=epilog)
    @search_argument
    @output_option
    @click.pass_obj
    def command(settings: Settings, search: str) -> None:
        with connect(settings) as connection:
            found = ask(connection, search).search
        if settings.output is Output.TEXT:
            write(escape(f"{found.search_id} {word(search_pb2.Search.State, found.state)}"))
        else:
            write_message(found, is_compact=settings.output is Output.JSONL)

    return command
