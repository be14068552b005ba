# SPDX-License-Identifier: Apache-2.0
"""``delete``: make room."""

from __future__ import annotations

import click

from client.completion import search_argument
from client.connection import connect
from client.output import write, write_document
from client.settings import Output, Settings, output_option
from nas.api.v1 import search_service_pb2

_EPILOG = """\b
Examples:
  nas-client delete 3f2a9c01b7de
  nas-client delete 3f2a9c01b7de --yes --output json
"""


@click.command("delete", epilog=_EPILOG)
@search_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@click.pass_obj
def command(settings: Settings, search: str, yes: bool) -> None:
    """Delete a search that has ended, its weights and its logs; there is no way back.

    A search that is running has to be cancelled first.
    """
    if not yes:
        click.confirm(f"Delete search {search} and its weights for good?", abort=True, err=True)
    with connect(settings) as connection:
        request = search_service_pb2.DeleteSearchRequest(search_id=search)
        connection.call(connection.stub.DeleteSearch, request)
    if settings.output is Output.TEXT:
        write(f"{search} deleted")
    else:
        write_document({"search_id": search, "state": "STATE_DELETED"}, is_compact=settings.output is Output.JSONL)
