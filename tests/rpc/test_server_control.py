# SPDX-License-Identifier: Apache-2.0
"""Cancelling, pausing, resuming and deleting in every state of a search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from control_plane import FOREVER, ControlPlane, ObservedExecutor
from served import Served, refused, serving

from nas.api.v1 import search_pb2
from nas.api.v1 import search_service_pb2 as pb
from nas.search import events

State = search_pb2.Search.State


OUTCOMES: dict[tuple[str, str], str] = {
    ("running", "CancelSearch"): "STATE_CANCELLING",
    ("running", "PauseSearch"): "STATE_PAUSING",
    ("running", "ResumeSearch"): "STATE_RUNNING",
    ("running", "DeleteSearch"): "SEARCH_NOT_ENDED",
    ("cancelled", "CancelSearch"): "STATE_CANCELLED",
    ("cancelled", "PauseSearch"): "SEARCH_ENDED",
    ("cancelled", "ResumeSearch"): "SEARCH_ENDED",
    ("cancelled", "DeleteSearch"): "",
    ("succeeded", "CancelSearch"): "SEARCH_ENDED",
    ("succeeded", "PauseSearch"): "SEARCH_ENDED",
    ("succeeded", "ResumeSearch"): "SEARCH_ENDED",
    ("succeeded", "DeleteSearch"): "",
    ("paused", "CancelSearch"): "STATE_CANCELLED",
    ("paused", "PauseSearch"): "STATE_PAUSED",
    ("paused", "ResumeSearch"): "STATE_RUNNING",
    ("paused", "DeleteSearch"): "SEARCH_NOT_ENDED",
    ("deleted", "CancelSearch"): "SEARCH_NOT_FOUND",
    ("deleted", "PauseSearch"): "SEARCH_NOT_FOUND",
    ("deleted", "ResumeSearch"): "SEARCH_NOT_FOUND",
    ("deleted", "DeleteSearch"): "SEARCH_NOT_FOUND",
}
"""State and call: the state afterwards, or the reason of the refusal."""


@pytest.fixture
async def stuck(tmp_path: Path) -> AsyncIterator[tuple[Served, ObservedExecutor]]:
    """A server whose searches get on only once a test lets them."""
    executor = ObservedExecutor(slots=2, epoch_seconds=FOREVER, on_launch=lambda _: None)
    async with serving(ControlPlane(folder=tmp_path, executor=executor)) as served:
        yield served, executor


async def _control(served: Served, name: str, search_id: str) -> Any:
    return await getattr(served.stub, name)(getattr(pb, f"{name}Request")(search_id=search_id))


async def _bring_to(served: Served, executor: ObservedExecutor, state: str) -> str:
    """Start a search and wait until it is in that state."""
    if state == "succeeded":
        executor.take(0.0)
    search_id = await served.start()
    if state in ("cancelled", "deleted"):
        await _control(served, "CancelSearch", search_id)
    if state == "paused":
        await served.plane.wait_for(search_id, events.AttemptStarted, count=2)
        await _control(served, "PauseSearch", search_id)
        await served.plane.wait_for(search_id, events.SearchPaused)
    elif state == "running":
        await served.plane.wait_for(search_id, events.AttemptStarted, count=2)
    else:
        await served.watch(search_id)
    if state == "deleted":
        await _control(served, "DeleteSearch", search_id)
    return search_id


@pytest.mark.parametrize(("state", "name"), OUTCOMES, ids=lambda text: text)
async def test_a_search_is_controlled_as_its_state_allows(
    stuck: tuple[Served, ObservedExecutor], state: str, name: str
) -> None:
    """Every call in every state; asking for the same again changes nothing."""
    served, executor = stuck
    search_id = await _bring_to(served, executor, state)
    expected = OUTCOMES[state, name]

    if expected.startswith("SEARCH_"):
        error = await refused(_control(served, name, search_id))
        code = "NOT_FOUND" if expected == "SEARCH_NOT_FOUND" else "FAILED_PRECONDITION"
        assert (code, expected) == (error.code, error.reason)
        assert search_id in error.message
        return
    answer = await _control(served, name, search_id)
    if expected:
        sequence = answer.search.sequence
        again = await _control(served, name, search_id)
        assert State.Value(expected) == answer.search.state
        repeated = [e for e in await served.plane.events(search_id) if e.sequence > sequence]
        assert not any(isinstance(e.fact, events.CancelRequested | events.PauseRequested) for e in repeated)
        assert again.search.search_id == search_id


async def test_a_cancelled_search_leaves_no_worker(stuck: tuple[Served, ObservedExecutor]) -> None:
    """Its watch ends with the cancellation, and every attempt was ended."""
    served, executor = stuck
    search_id = await _bring_to(served, executor, "running")
    await _control(served, "CancelSearch", search_id)

    last = (await served.watch(search_id))[-1]

    assert "search_cancelled" == last.event.WhichOneof("fact")
    assert frozenset() == executor.running()


async def test_a_paused_search_goes_on_to_the_same_result(stuck: tuple[Served, ObservedExecutor]) -> None:
    """As if nothing had happened, but for the times."""
    served, executor = stuck
    search_id = await _bring_to(served, executor, "paused")
    executor.take(0.0)
    await _control(served, "ResumeSearch", search_id)
    other = await served.start(2)

    for one in (search_id, other):
        await served.watch(one)

    shown = [
        (await served.stub.GetSearch(pb.GetSearchRequest(search_id=one))).search.digest for one in (search_id, other)
    ]
    assert shown[0] == shown[1]


async def test_a_deleted_search_is_gone_from_every_answer(stuck: tuple[Served, ObservedExecutor]) -> None:
    """It is neither shown nor listed, its files are deleted, and its request id cannot start it again."""
    served, executor = stuck
    search_id = await _bring_to(served, executor, "deleted")

    listed = (await served.stub.ListSearches(pb.ListSearchesRequest())).searches
    shown = await refused(served.stub.GetSearch(pb.GetSearchRequest(search_id=search_id)))
    started = await refused(served.start())

    assert [] == list(listed)
    assert ("NOT_FOUND", "SEARCH_NOT_FOUND") == (shown.code, shown.reason)
    assert ("FAILED_PRECONDITION", "SEARCH_DELETED") == (started.code, started.reason)
