# SPDX-License-Identifier: Apache-2.0
"""``logs``: what a worker had to say besides its results."""

from __future__ import annotations

import click

from client.completion import search_argument
from client.connection import connect
from client.output import note, write
from client.settings import Settings
from nas.api.v1 import search_service_pb2
from nas.text import escape

_EPILOG = """\b
Examples:
  nas-client logs 3f2a9c01b7de 1-3
  nas-client logs 3f2a9c01b7de 1-3 --attempt 1
"""


@click.command("logs", epilog=_EPILOG)
@search_argument
@click.argument("child")
@click.option("--attempt", type=click.IntRange(1), help="Which attempt; default: the last one.")
@click.pass_obj
def command(settings: Settings, search: str, child: str, attempt: int | None) -> None:
    """Print what the worker of a child wrote to its log: tracebacks, warnings of libraries.

    Most workers write nothing.
    """
    request = search_service_pb2.ReadLogRequest(search_id=search, child_id=child, attempt=attempt or 0)
    with connect(settings) as connection:
        content = b"".join(piece.chunk for piece in connection.stream(connection.stub.ReadLog, request))
    if not content:
        note(f"The worker of child {child} wrote nothing.")
    for line in content.decode(errors="replace").splitlines():
        write(escape(line))
