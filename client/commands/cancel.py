# SPDX-License-Identifier: Apache-2.0
"""``cancel``: the only verb that ends a search."""

from __future__ import annotations

import click

from client.connection import connect
from client.output import write, write_message
from client.settings import Output, Settings, output_option
from client.text import escape, word
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client cancel 3f2a9c01b7de
  nas-client cancel 3f2a9c01b7de --output json
"""


@click.command("cancel", epilog=_EPILOG)
@click.argument("search")
@output_option
@click.pass_obj
def command(settings: Settings, search: str) -> None:
    """End a search; what it has found so far is kept.

    Returns at once, while workers are still being ended. Cancelling twice changes nothing.
    """
    with connect(settings) as connection:
        request = search_service_pb2.CancelSearchRequest(search_id=search)
        found = connection.call(connection.stub.CancelSearch, request).search
    if settings.output is Output.TEXT:
        write(escape(f"{found.search_id} {word(search_pb2.Search.State, found.state)}"))
    else:
        write_message(found, is_compact=settings.output is Output.JSONL)
