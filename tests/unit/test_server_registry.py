# SPDX-License-Identifier: Apache-2.0
"""Starting, finding, cancelling and bringing back searches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from control_plane import FOREVER, ControlPlane, make_config, request_id, running
from memory_journal import MemoryJournal

from nas.search import commands, events
from nas.search.digest import digest
from nas.search.reasons import LostReason
from nas.search.state import SearchState
from server.codec.envelope import decode
from server.engine import (
    RequestIdReusedError,
    SearchEndedError,
    SearchNotFoundError,
    ShuttingDownError,
)
from server.engine.errors import InvalidSettingError
from server.executor.fake import FakeExecutor
from server.journal.base import Record


def _stuck() -> FakeExecutor:
    return FakeExecutor(slots=2, epoch_seconds=FOREVER)


async def test_a_search_runs_to_its_end(tmp_path: Path) -> None:
    """From the request to the evaluated winner, without anybody asking for anything in between."""
    async with running(ControlPlane(folder=tmp_path)) as plane:
        started = await plane.start()

        ended = await plane.end(started.search_id)

        assert SearchState.SUCCEEDED is ended.search.state
        assert ended.search.incumbent is not None
        assert 12 == len(ended.search.of_iteration(1)) + len(ended.search.of_iteration(2))
        assert [] == plane.fatal


@pytest.mark.parametrize("slots", [2, 5])
async def test_the_number_of_workers_changes_nothing_that_counts(tmp_path: Path, slots: int) -> None:
    """One child at a time or five: the digest is the same."""
    digests = []
    for executor in (FakeExecutor(slots=1, epoch_seconds=0.0), FakeExecutor(slots=slots, epoch_seconds=0.0)):
        async with running(ControlPlane(folder=tmp_path, executor=executor)) as plane:
            started = await plane.start()
            digests.append(digest((await plane.end(started.search_id)).search))

    assert digests[0] == digests[1]


class CountingJournal(MemoryJournal):
    """Remembers where each append ended: what lies between is never half there."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        self.ends.append(expected_sequence + len(payloads))
        return await super().append(search_id, expected_sequence, payloads)


async def test_a_server_that_is_killed_after_any_append_finds_the_same(tmp_path: Path) -> None:
    """Each time: recovery, no attempt number twice, every orphan lost once, the same digest."""
    undisturbed = CountingJournal()
    async with running(ControlPlane(folder=tmp_path, journal=undisturbed)) as plane:
        search_id = (await plane.start()).search_id
        expected = digest((await plane.end(search_id)).search)
        payloads = [record.payload for record in await plane.journal.read(search_id, 0, 10_000)]

    for length in undisturbed.ends:
        journal = MemoryJournal()
        await journal.append(search_id, 0, payloads[:length])
        async with running(ControlPlane(folder=tmp_path, journal=journal)) as plane:
            view = plane.registry.view(search_id)
            ended = view if view.search.state.is_terminal else await plane.end(search_id)
            history = [envelope.fact for envelope in await plane.events(search_id)]

        assert expected == digest(ended.search), f"killed after event {length}"
        launched = Counter((f.child_id, f.attempt) for f in history if isinstance(f, events.AttemptLaunched))
        lost = [f for f in history if isinstance(f, events.AttemptLost)]
        open_at_kill = _running_attempts(payloads[:length])
        assert {1} == set(launched.values())
        assert open_at_kill == [(f.child_id, f.attempt) for f in lost]
        assert all(f.reason is LostReason.SERVER_RESTARTED for f in lost)


def _running_attempts(payloads: list[bytes]) -> list[object]:
    out: dict[object, None] = {}
    for fact in (decode(payload).fact for payload in payloads):
        if isinstance(fact, events.AttemptLaunched):
            out[fact.child_id, fact.attempt] = None
        if isinstance(fact, events.ChildSucceeded | events.WinnerEvaluated):
            del out[fact.child_id, fact.attempt]
    return list(out)


async def test_what_had_ended_keeps_nothing_waiting(tmp_path: Path) -> None:
    """A search that goes on does so before those that had ended are replayed; who asks for one of them waits for it."""
    journal = MemoryJournal()
    async with running(ControlPlane(folder=tmp_path, journal=journal)) as plane:
        ended = await plane.end((await plane.start(1)).search_id)
    stuck = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=stuck)) as plane:
        going = (await plane.start(2)).search_id

    plane = ControlPlane(folder=tmp_path, journal=journal)
    await plane.registry.recover()
    shown = [view.search_id for view in plane.registry.views()]
    found = await plane.registry.find(ended.search_id)
    again = await plane.start(1)
    later = [view.search_id for view in plane.registry.views()]
    await plane.registry.close()

    assert [going] == shown
    assert digest(ended.search) == digest(found.search) == digest(again.search)
    assert [going, ended.search_id] == later


async def test_thirty_identical_starts_are_one_search(tmp_path: Path) -> None:
    """All at once: each caller gets the same search, which began once."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        views = await asyncio.gather(*(plane.start() for _ in range(30)))

        assert 1 == len({view.search_id for view in views})
        assert 1 == len(plane.registry.views()) == len(await plane.journal.heads())


async def test_a_request_id_stands_for_one_config(tmp_path: Path) -> None:
    """Other settings are refused; other settings under another id are another search."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        first = await plane.start()

        with pytest.raises(RequestIdReusedError) as caught:
            await plane.start(seed=1)
        second = await plane.start(2, seed=1)

        assert (request_id(1), first.search_id) == (caught.value.request_id, caught.value.search_id)
        assert [second.search_id, first.search_id] == [view.search_id for view in plane.registry.views()]


async def test_a_request_is_remembered_across_restarts(tmp_path: Path) -> None:
    """A client that retries after a crash does not start a second search."""
    journal = MemoryJournal()
    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=_stuck())) as plane:
        first = await plane.start()
    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=_stuck())) as plane:
        again = await plane.start()

        with pytest.raises(RequestIdReusedError):
            await plane.start(seed=1)

    assert first.search_id == again.search_id


async def test_a_request_whose_start_was_refused_can_be_tried_again(tmp_path: Path) -> None:
    """A start that was refused leaves its request id free."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        results = await asyncio.gather(
            *(plane.start(initial="C(1,99) F() FC(10)") for _ in range(3)), return_exceptions=True
        )

        view = await plane.start()

        assert [InvalidSettingError] * 3 == [type(result) for result in results]
        assert [view.search_id] == [view.search_id for view in plane.registry.views()]


async def test_a_caller_who_leaves_does_not_undo_the_start(tmp_path: Path) -> None:
    """The search begins, and the same request finds it."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        task = asyncio.create_task(plane.start())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        view = await plane.start()

        assert [view.search_id] == [view.search_id for view in plane.registry.views()]


async def test_a_plan_leaves_nothing(tmp_path: Path) -> None:
    """It says what the search would begin with, and no search is there."""
    async with running(ControlPlane(folder=tmp_path)) as plane:
        plan = await plane.registry.plan(make_config())
        view = await plane.start()

        begun = [envelope.fact for envelope in await plane.events(view.search_id)]
        assert begun[1:7] == list(plan.facts[1:])
        assert 1 == len(plane.registry.views())


@pytest.mark.parametrize("principal", ["", "somebody"])
async def test_a_running_search_can_be_cancelled(tmp_path: Path, principal: str) -> None:
    """Its workers are ended, its waiting children cancelled; asking again changes nothing."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        search_id = (await plane.start()).search_id
        await plane.wait_for(search_id, events.AttemptStarted)

        asked = await plane.registry.control(search_id, commands.CancelSearch(principal=principal))
        ended = await plane.end(search_id)
        again = await plane.registry.control(search_id, commands.CancelSearch(principal="somebody else"))

        history = [envelope.fact for envelope in await plane.events(search_id)]
        assert SearchState.CANCELLING is asked.search.state
        assert SearchState.CANCELLED is ended.search.state is again.search.state
        assert [events.CancelRequested(principal=principal)] == [
            fact for fact in history if isinstance(fact, events.CancelRequested)
        ]
        assert frozenset() == plane.executor.running()


async def test_a_search_that_has_ended_cannot_be_cancelled(tmp_path: Path) -> None:
    """The result stands."""
    async with running(ControlPlane(folder=tmp_path)) as plane:
        search_id = (await plane.start(max_iterations=1)).search_id
        ended = await plane.end(search_id)

        with pytest.raises(SearchEndedError, match="has succeeded already"):
            await plane.registry.control(search_id, commands.CancelSearch(principal=""))

        assert ended.sequence == plane.registry.view(search_id).sequence


async def test_an_unknown_search_is_not_found(tmp_path: Path) -> None:
    """Neither to be shown nor to be cancelled."""
    async with running(ControlPlane(folder=tmp_path)) as plane:
        with pytest.raises(SearchNotFoundError):
            plane.registry.view("0" * 12)
        with pytest.raises(SearchNotFoundError):
            await plane.registry.control("0" * 12, commands.CancelSearch(principal=""))


async def test_a_server_that_stops_starts_nothing(tmp_path: Path) -> None:
    """What comes after the close is told to come again; known searches are still shown."""
    async with running(ControlPlane(folder=tmp_path, executor=_stuck())) as plane:
        view = await plane.start()

        await plane.registry.close()

        with pytest.raises(ShuttingDownError):
            await plane.start(2)
        assert view.search_id == (await plane.start()).search_id


async def test_a_stop_is_written_and_the_next_server_goes_on(tmp_path: Path) -> None:
    """Running attempts are lost as PREEMPTED, which counts against nobody, and the digest is the undisturbed one."""
    async with running(ControlPlane(folder=tmp_path)) as plane:
        undisturbed = digest((await plane.end((await plane.start()).search_id)).search)
    journal = MemoryJournal()
    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=_stuck())) as plane:
        search_id = (await plane.start()).search_id
        await plane.wait_for(search_id, events.AttemptStarted)

    async with running(ControlPlane(folder=tmp_path, journal=journal)) as plane:
        ended = await plane.end(search_id)
        history = [envelope.fact for envelope in await plane.events(search_id)]

    reasons = [fact.reason for fact in history if isinstance(fact, events.AttemptLost)]
    assert [LostReason.PREEMPTED] * 2 == reasons
    assert undisturbed == digest(ended.search)
    assert {0} == {child.lost_attempts for child in ended.search.children.values()}
