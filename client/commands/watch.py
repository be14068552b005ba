# SPDX-License-Identifier: Apache-2.0
"""``watch``: print the events of a search until it ends; leaving never stops it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from client.completion import search_argument
from client.connection import Connection, connect
from client.errors import Exit, ServerError
from client.follow import TERMINAL_FACTS, Follower
from client.lines import Lines
from client.output import note, terminal_columns, write, write_message
from client.settings import Output, Settings, output_option, parse_seconds
from client.views import Place, closing_summary
from nas.api.v1 import search_pb2, search_service_pb2

if TYPE_CHECKING:
    from client.live.screen import LiveView

_EPILOG = """\b
Examples:
  nas-client watch 3f2a9c01b7de
  nas-client watch 3f2a9c01b7de --after 120 --output jsonl
"""

reconnect_option = click.option(
    "--reconnect",
    type=parse_seconds,
    metavar="SECONDS",
    default=60,
    show_default=True,
    help="How long to look for a server that went away.",
)
"""``--reconnect`` of every verb that watches."""

plain_option = click.option("--plain", is_flag=True, help="Print a line an event in a terminal, too.")
"""``--plain`` of every verb that watches."""


@click.command("watch", epilog=_EPILOG)
@search_argument
@click.option(
    "--after", type=click.IntRange(0, 2**63 - 1), metavar="N", default=0, help="Only events after this sequence."
)
@reconnect_option
@plain_option
@output_option
@click.pass_obj
def command(settings: Settings, search: str, after: int, reconnect: float, plain: bool) -> int:
    """Show the events of a search, from the first one on.

    Ends with the search; Ctrl-C leaves the search running. A terminal shows one screen that is kept up to date. With
    --plain or --after, and where the output is no terminal, one line per event is printed. With --output json the
    search is printed as one document at the end.
    """
    with connect(settings) as connection:
        return watch_to_the_end(
            connection,
            settings,
            search,
            after=after,
            reconnect_seconds=reconnect,
            is_known=False,
            is_plain=plain or after > 0,
        )


def watch_to_the_end(
    connection: Connection,
    settings: Settings,
    search_id: str,
    *,
    after: int,
    reconnect_seconds: float,
    is_known: bool,
    is_plain: bool,
) -> Exit:
    """Show a search's events, then what came of it.

    Args:
        connection: to the server.
        settings: say how to print, and where to come back to.
        search_id: the search.
        after: sequence of the last event that is not printed.
        reconnect_seconds: how long to look for a server that went away.
        is_known: whether the server has answered already.
        is_plain: whether to print lines where a live view could be.

    Returns:
        OK if the search succeeded, SEARCH_FAILED if it failed or was cancelled, INTERRUPTED if a person left.
    """
    view = make_view(settings.output, search_id, is_plain=is_plain)
    follower = Follower(
        connection, search_id, after=after, reconnect_seconds=reconnect_seconds, is_known=is_known, listener=view
    )
    try:
        return finish(connection, settings, search_id, _show_events(follower, view))
    except KeyboardInterrupt:
        note(f"Left search {search_id} running; come back with:")
        note(f"  {_way_back(settings, search_id)}")
        return Exit.INTERRUPTED
    except ServerError as error:
        if error.exit_status == Exit.UNAVAILABLE and follower.sequence > after:
            note("The search's events so far are kept; come back with:")
            note(f"  {_way_back(settings, search_id)}")
        raise


def _show_events(follower: Follower, view: Lines | LiveView) -> search_pb2.Search.State.ValueType | None:
    """Show what follows and return the state that the last event leads to, ``None`` if the search goes on."""
    state = None
    with view:
        for event in follower.events():
            view.on_event(event)
            state = TERMINAL_FACTS.get(event.WhichOneof("fact") or "")
    return state


def make_view(output: Output, search_id: str, *, is_plain: bool) -> Lines | LiveView:
    """Choose how the events of a search are shown."""
    if output is not Output.TEXT or is_plain or not _can_show_a_screen():
        return Lines(output)
    from client.live.screen import LiveView  # rich is loaded for those who see it only

    return LiveView(search_id)


def _can_show_a_screen() -> bool:
    """Whether standard output is a terminal that can move its cursor and draw a bar."""
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return False
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def finish(
    connection: Connection, settings: Settings, search_id: str, state: search_pb2.Search.State.ValueType | None
) -> Exit:
    """Print the closing summary or document; ``state`` is None if there was no event left to show."""
    output = settings.output
    if output is not Output.JSONL or state is None:
        request = search_service_pb2.GetSearchRequest(search_id=search_id)
        try:
            search = connection.call(connection.stub.GetSearch, request).search
        except ServerError as error:
            # The outcome is known already; only the summary is missing.
            if state is None or output is Output.JSON:
                raise
            note(f"The summary is missing: {error}")
        else:
            if search.state in TERMINAL_FACTS.values() or state is None:  # a newer server may call it something else
                state = search.state
            if output is Output.TEXT:
                write(closing_summary(search, Place(columns=terminal_columns(), state_dir=settings.local_folder)))
            elif output is Output.JSON:
                write_message(search, is_compact=False)
    return Exit.OK if state == search_pb2.Search.STATE_SUCCEEDED else Exit.SEARCH_FAILED


def _way_back(settings: Settings, search_id: str) -> str:
    return f"nas-client {settings.spell()}watch {search_id}"
