# SPDX-License-Identifier: Apache-2.0
"""Data goes to standard output, talk goes to standard error; every line leaves at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from client.errors import ClientError, Exit, OutputClosed
from nas.text import escape

if TYPE_CHECKING:
    from google.protobuf.message import Message


def write(text: str) -> None:
    """Print text to standard output and flush it.

    Raises:
        OutputClosed: nobody reads it any more.
        ClientError: it cannot be written, for example because the disk is full.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        give_up(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise OutputClosed from None
        raise ClientError(f"Standard output cannot be written: {error.strerror}.", Exit.UNEXPECTED) from error


def give_up(stream: TextIO) -> None:
    """Let what is left for an output go nowhere: Python flushes it on the way out, and would end with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def terminal_columns() -> int | None:
    """Width of the terminal that standard output is; None if it is none, or does not say."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError, AttributeError):  # no terminal, no descriptor, closed
        return None


def write_message(message: Message, *, is_compact: bool) -> None:
    """Print a message as JSON: original field names, defaults included, 64-bit integers as strings."""
    from google.protobuf.json_format import MessageToJson

    text = MessageToJson(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=None if is_compact else 2,
    )
    write(text)


def write_document(document: Mapping[str, object], *, is_compact: bool) -> None:
    """Print as JSON what is no message of the API."""
    write(json.dumps(document, indent=None if is_compact else 2))


def note(text: str) -> None:
    """Say one line on standard error; a closed one is no reason to fail."""
    if sys.stderr is None:  # closed before the start; print() would turn to standard output
        return
    try:
        print(escape(text), file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)
