# SPDX-License-Identifier: Apache-2.0
"""``list``: the searches of a server, newest first."""

from __future__ import annotations

import click

from client.connection import Connection, connect
from client.output import note, write, write_message
from client.settings import Output, Settings, output_option
from client.views import search_table
from nas.api.v1 import search_pb2, search_service_pb2

MAX_PAGE_SIZE = 1000

_EPILOG = """\b
Examples:
  nas-client list
  nas-client list --limit 5 --output json
"""


@click.command("list", epilog=_EPILOG)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), metavar="N", default=50, show_default=True, help="Most searches."
)
@output_option
@click.pass_obj
def command(settings: Settings, limit: int) -> None:
    """List the searches, newest first."""
    with connect(settings) as connection:
        searches, is_complete = _newest(connection, limit)
    match settings.output:
        case Output.TEXT:
            write(search_table(searches)) if searches else note("There is no search yet.")
        case Output.JSON:
            write_message(search_service_pb2.ListSearchesResponse(searches=searches), is_compact=False)
        case Output.JSONL:
            for search in searches:
                write_message(search, is_compact=True)
    if not is_complete:
        note(f"There are more than {limit}; --limit shows them.")


def _newest(connection: Connection, limit: int) -> tuple[list[search_pb2.Search], bool]:
    """Up to ``limit`` searches, and whether these are all."""
    searches: list[search_pb2.Search] = []
    token = ""
    while True:
        request = search_service_pb2.ListSearchesRequest(
            page_size=min(MAX_PAGE_SIZE, limit - len(searches)), page_token=token
        )
        page = connection.call(connection.stub.ListSearches, request)
        searches.extend(page.searches)
        token = page.next_page_token
        if not token or len(searches) >= limit:
            return searches[:limit], not token
