# SPDX-License-Identifier: Apache-2.0
"""Nets of a search that are trained once more, each by a search of its own that derives nothing.

It has the settings, the seed and the threads of the search that found the net, and reads the test part once. Its
request id follows from what it trains, so asking again finds it and trains nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from client.commands.plan import plan_search
from client.connection import Connection
from client.errors import ClientError, Exit
from client.follow import Follower
from client.lines import Lines
from client.output import note
from client.phrases import finishing_length
from client.settings import Output
from nas.api.v1 import search_pb2, search_service_pb2

_REQUESTS = uuid.UUID("5e1b0a51-7ab1-4e06-8ab1-a7e000000006")
"""Namespace of the request ids; another one would train everything again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """A search that trains one net of another search.

    Attributes:
        what: it trains, for people.
        config: of the search.
        request_id: of the search.
    """

    what: str
    config: search_pb2.SearchConfig
    request_id: str


def make_request_id(*parts: str) -> str:
    """Derive a request id from everything that tells one retraining from another."""
    return str(uuid.uuid5(_REQUESTS, "/".join(parts)))


def retraining_config(search: search_pb2.Search, notation: str) -> search_pb2.SearchConfig:
    """Make the settings of a retraining: those of the search, for this net and nothing derived from it.

    It is trained once, as long as the search finished its nets.
    """
    config = search_pb2.SearchConfig()
    config.CopyFrom(search.config)
    config.initial = notation
    config.max_iterations = 0
    config.threads = search.resources.threads
    epochs = finishing_length(search.config, sum(search.dataset.train_counts))
    if epochs:
        config.training.max_epochs, config.training.min_steps = epochs, 0
        config.finish = search_pb2.FINISH_NONE
    return config


def tested_net(retrained: search_pb2.Search) -> search_pb2.AssessedChild:
    """Return what the test part says about the net; empty if nothing is known."""
    return retrained.assessed[0] if retrained.assessed else search_pb2.AssessedChild()


def tested_plain(retrained: search_pb2.Search) -> dict[str, object]:
    """The same as plain JSON values, as in every message."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(
        tested_net(retrained), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def get_search(connection: Connection, search_id: str) -> search_pb2.Search:
    """Ask for a search."""
    request = search_service_pb2.GetSearchRequest(search_id=search_id)
    return connection.call(connection.stub.GetSearch, request).search


def find_nets(connection: Connection, search: search_pb2.Search) -> dict[str, search_pb2.Child]:
    """The evaluated children by their role, winner and smallest; the smallest only where it is another.

    Raises:
        ClientError: the search has none.
    """
    if search.state != search_pb2.Search.STATE_SUCCEEDED:
        sentence = f"Search {search.search_id} has not succeeded, so it has no winner; see `nas-client get`."
        raise ClientError(sentence, Exit.USAGE)
    nets = {"winner": search.incumbent}
    for tested in search.assessed[1:2]:
        request = search_service_pb2.GetChildRequest(search_id=search.search_id, child_id=tested.child_id)
        nets["smallest"] = connection.call(connection.stub.GetChild, request).child
    return nets


def require_same_data(
    connection: Connection, search: search_pb2.Search, retraining: Retraining, *, same_division: bool
) -> None:
    """Refuse before anything is started if a retraining would not see the data of the search.

    Args:
        connection: to the server.
        search: that found the net.
        retraining: which is only planned.
        same_division: whether the images have to be divided as they were, too.

    Raises:
        ServerError: the server refuses the settings or the data.
        ClientError: the images or their division are others.
    """
    data, theirs = search.dataset, plan_search(connection, retraining.config).dataset
    is_same = data.fingerprint == theirs.fingerprint
    if same_division:
        is_same = is_same and data.split_fingerprint == theirs.split_fingerprint
    if not is_same:
        sentence = (
            f"The data are not those of search {search.search_id} any more, so nothing could be compared with it."
        )
        raise ClientError(sentence, Exit.USAGE)


def retrain(
    connection: Connection, retrainings: Sequence[Retraining], *, reconnect_seconds: float
) -> list[search_pb2.Search]:
    """Start every retraining that has not been started yet, and wait for all of them.

    Returns:
        The searches as they ended, in the same order.

    Raises:
        ClientError: one of them did not succeed.
    """
    started = [_start(connection, retraining) for retraining in retrainings]
    return [
        _wait(connection, retraining, search_id, reconnect_seconds)
        for retraining, search_id in zip(retrainings, started, strict=True)
    ]


def _start(connection: Connection, retraining: Retraining) -> str:
    request = search_service_pb2.StartSearchRequest(config=retraining.config, request_id=retraining.request_id)
    started = connection.call(connection.stub.StartSearch, request, waits_for_data=True).search
    if not started.HasField("end_time"):
        note(f"Search {started.search_id} trains {retraining.what}; Ctrl-C leaves it running.")
    return started.search_id


def _wait(
    connection: Connection, retraining: Retraining, search_id: str, reconnect_seconds: float
) -> search_pb2.Search:
    follower = Follower(
        connection,
        search_id,
        after=0,
        reconnect_seconds=reconnect_seconds,
        is_known=True,
        listener=Lines(Output.JSON),
    )
    for _ in follower.events():
        pass
    ended = get_search(connection, search_id)
    if ended.state != search_pb2.Search.STATE_SUCCEEDED:
        sentence = f"Search {search_id} could not train {retraining.what}; see `nas-client get` for why."
        raise ClientError(sentence, Exit.SEARCH_FAILED)
    return ended
