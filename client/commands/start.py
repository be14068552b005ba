# SPDX-License-Identifier: Apache-2.0
"""``start``: ask for a search, then watch it or leave it alone."""

from __future__ import annotations

import uuid
from typing import Any

import click

from client.commands.plan import plan_search
from client.commands.watch import plain_option, reconnect_option, watch_to_the_end
from client.connection import Connection, connect
from client.errors import Exit, ServerError
from client.options import make_config, search_options, verify_option
from client.output import note, write, write_message
from client.settings import Output, Settings, output_option
from client.versions import is_older
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client start --dataset mnist --block ib --time-budget 12h
  nas-client start --dataset digits --block seib --seed 7 --detach
"""


@click.command("start", epilog=_EPILOG)
@search_options
@verify_option
@click.option(
    "--request-id",
    type=click.UUID,
    metavar="UUID",
    help="Asking twice with one id starts one search; default: a new id.",
)
@click.option("--detach", is_flag=True, help="Print the search's id and leave; the search goes on.")
@reconnect_option
@plain_option
@output_option
@click.pass_obj
def command(
    settings: Settings,
    /,
    request_id: uuid.UUID | None,
    detach: bool,
    verify: bool,
    reconnect: float,
    plain: bool,
    **given: Any,
) -> int:
    """Start a search and watch it.

    Events are shown as they happen. Ctrl-C leaves the search running; `nas-client watch` comes back to it.
    """
    request = search_service_pb2.StartSearchRequest(
        config=make_config(given, settings), request_id=str(request_id or uuid.uuid4()), verify_data=verify
    )
    with connect(settings) as connection:
        search = _start(connection, request)
        if detach:
            for warning in search.warnings:
                note(f"Warning: {warning}")
            _print_detached(search, settings.output)
            return Exit.OK
        note(f"Search {search.search_id} is on its way; Ctrl-C leaves it running.")
        return watch_to_the_end(
            connection,
            settings,
            search.search_id,
            after=0,
            reconnect_seconds=reconnect,
            is_known=True,
            is_plain=plain,
        )


def _start(connection: Connection, request: search_service_pb2.StartSearchRequest) -> search_pb2.Search:
    # Asked first, so that a failure of StartSearch is known to be that of a server that was there.
    info = connection.call(connection.stub.GetServerInfo, search_service_pb2.GetServerInfoRequest())
    if is_older(info.version):
        # What it does not know it would pass over in silence, so it is asked first what it would make of this.
        plan_search(connection, request.config)
    hint = f"The search may have been started; --request-id {request.request_id} finds it and starts no second one."
    try:
        return connection.call(connection.stub.StartSearch, request, waits_for_data=True).search
    except KeyboardInterrupt:
        note(hint)
        raise
    except ServerError as error:
        if error.exit_status == Exit.UNAVAILABLE and not error.reason:
            note(hint)
        raise


def _print_detached(search: search_pb2.Search, output: Output) -> None:
    if output is Output.TEXT:
        write(search.search_id)
    else:
        write_message(search, is_compact=output is Output.JSONL)
