# SPDX-License-Identifier: Apache-2.0
"""``ablate``: winner and smallest of a search, each with and without squeeze and excitation."""

from __future__ import annotations

import click

from client.ablation import Row, Variant, ablation_document, ablation_table, variant_config, variants
from client.commands.plan import plan_search
from client.commands.watch import reconnect_option
from client.completion import search_argument
from client.connection import Connection, connect
from client.errors import ClientError, Exit
from client.follow import Follower
from client.lines import Lines
from client.output import note, write, write_document
from client.settings import Output, Settings, output_option
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client ablate 3f2a9c01b7de
  nas-client ablate 3f2a9c01b7de --output json
"""

_HONEST = "The test part was read once for each line, after the search had ended. Intervals hold with 95 % confidence."


@click.command("ablate", epilog=_EPILOG)
@search_argument
@reconnect_option
@output_option
@click.pass_obj
def command(settings: Settings, search: str, reconnect: float) -> None:
    """Train winner and smallest of a search again, each with and without SE.

    SE: squeeze and excitation. Each is trained once by a search of its own, under the same settings, seed and division,
    and then measured on the test part: read once for each of them, after the search that found them had ended. Do not
    choose by it. Asking again, also after Ctrl-C, starts nothing twice.
    """
    with connect(settings) as connection:
        found = _get(connection, search)
        wanted = list(variants(search, _nets(connection, found)))
        _require_same_data(connection, found, wanted[0])
        started = [(variant, _start(connection, found, variant)) for variant in wanted]
        rows = [Row(variant=variant, search=_wait(connection, variant, one, reconnect)) for variant, one in started]
    if settings.output is Output.TEXT:
        write(ablation_table(rows))
        note(_HONEST)
    else:
        write_document(ablation_document(found, rows), is_compact=settings.output is Output.JSONL)


def _get(connection: Connection, search_id: str) -> search_pb2.Search:
    request = search_service_pb2.GetSearchRequest(search_id=search_id)
    return connection.call(connection.stub.GetSearch, request).search


def _nets(connection: Connection, search: search_pb2.Search) -> dict[str, search_pb2.Child]:
    """The evaluated children by their role; the smallest only where it is another."""
    if search.state != search_pb2.Search.STATE_SUCCEEDED:
        sentence = (
            f"Search {search.search_id} has not succeeded, so there is no winner to ablate; see `nas-client get`."
        )
        raise ClientError(sentence, Exit.USAGE)
    nets = {"winner": search.incumbent}
    for tested in search.assessed[1:2]:
        request = search_service_pb2.GetChildRequest(search_id=search.search_id, child_id=tested.child_id)
        nets["smallest"] = connection.call(connection.stub.GetChild, request).child
    return nets


def _require_same_data(connection: Connection, search: search_pb2.Search, variant: Variant) -> None:
    """Refuse before anything is started if the images or their division have changed since the search."""
    plan = plan_search(connection, variant_config(search, variant))
    data, theirs = search.dataset, plan.dataset
    if (data.fingerprint, data.split_fingerprint) != (theirs.fingerprint, theirs.split_fingerprint):
        sentence = (
            f"The data are not those of search {search.search_id} any more, so nothing could be compared with it."
        )
        raise ClientError(sentence, Exit.USAGE)


def _start(connection: Connection, search: search_pb2.Search, variant: Variant) -> search_pb2.Search:
    request = search_service_pb2.StartSearchRequest(
        config=variant_config(search, variant), request_id=variant.request_id
    )
    started = connection.call(connection.stub.StartSearch, request, waits_for_data=True).search
    note(f"Search {started.search_id} trains {_describe(variant)}; Ctrl-C leaves it running.")
    return started


def _wait(connection: Connection, variant: Variant, started: search_pb2.Search, reconnect: float) -> search_pb2.Search:
    follower = Follower(
        connection,
        started.search_id,
        after=0,
        reconnect_seconds=reconnect,
        is_known=True,
        listener=Lines(Output.JSON),
    )
    for _ in follower.events():
        pass
    ended = _get(connection, started.search_id)
    if ended.state != search_pb2.Search.STATE_SUCCEEDED:
        sentence = f"Search {started.search_id} could not train {_describe(variant)}; see `nas-client get` for why."
        raise ClientError(sentence, Exit.SEARCH_FAILED)
    return ended


def _describe(variant: Variant) -> str:
    return f"{variant.role} {variant.child_id} {'with' if variant.has_se else 'without'} squeeze and excitation"
