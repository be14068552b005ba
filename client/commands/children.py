# SPDX-License-Identifier: Apache-2.0
"""``children``: the children of a search, or one of them with its layers and epochs."""

from __future__ import annotations

import click

from client.completion import search_argument
from client.connection import Connection, connect
from client.output import note, write, write_message
from client.settings import Output, Settings, output_option
from client.views import child_table, child_view
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client children 3f2a9c01b7de
  nas-client children 3f2a9c01b7de 2-3
"""


@click.command("children", epilog=_EPILOG)
@search_argument
@click.argument("child", required=False)
@output_option
@click.pass_obj
def command(settings: Settings, search: str, child: str | None) -> None:
    """List the children of a search, or show one with its layers and epochs."""
    with connect(settings) as connection:
        if child is None:
            _print_children(_all_children(connection, search), settings.output)
        else:
            request = search_service_pb2.GetChildRequest(search_id=search, child_id=child)
            _print_child(connection.call(connection.stub.GetChild, request).child, settings.output)


def _all_children(connection: Connection, search_id: str) -> list[search_pb2.Child]:
    children: list[search_pb2.Child] = []
    request = search_service_pb2.ListChildrenRequest(search_id=search_id)
    while True:
        page = connection.call(connection.stub.ListChildren, request)
        children.extend(page.children)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return children


def _print_children(children: list[search_pb2.Child], output: Output) -> None:
    match output:
        case Output.TEXT:
            write(child_table(children)) if children else note("There is no child yet.")
        case Output.JSON:
            write_message(search_service_pb2.ListChildrenResponse(children=children), is_compact=False)
        case Output.JSONL:
            for child in children:
                write_message(child, is_compact=True)


def _print_child(child: search_pb2.Child, output: Output) -> None:
    if output is Output.TEXT:
        write(child_view(child))
    else:
        write_message(child, is_compact=output is Output.JSONL)
