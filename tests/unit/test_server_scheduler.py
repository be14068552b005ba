# SPDX-License-Identifier: Apache-2.0
"""When attempts are launched, in which order, and when they are ended; which files are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_plane import FOREVER, ControlPlane, ObservedExecutor, TurnedClock, running
from memory_journal import MemoryJournal

from nas.child import ChildId, EpochResult
from nas.config import TrainingConfig
from nas.recipe import Finish
from nas.search import commands, events
from nas.search.reasons import LostReason, SearchFailure, StopReason
from nas.search.retention import retained
from nas.search.simulation import simulate_epoch
from nas.search.state import SearchState
from server.codec.envelope import Envelope, decode
from server.executor.base import AttemptRequest, OnReport
from server.executor.fake import FakeExecutor
from server.files import StateFiles
from server.journal.base import JournalFailedError, JournalFullError, Record

FAILED = JournalFailedError(Path("journal.db"), "disk I/O error")


class GlassJournal(MemoryJournal):
    """Lets a test look into it without waiting."""

    def facts(self) -> list[events.Event]:
        """Everything that was appended, of all searches."""
        return [decode(record.payload).fact for records in self._searches.values() for record in records]


async def test_a_launch_is_journaled_before_it_happens(tmp_path: Path) -> None:
    """The number of an attempt is durable before any worker could report under it, and no attempt is launched twice."""
    journal = GlassJournal()
    launched = []

    def look(request: AttemptRequest) -> None:
        key = request.key
        expected = events.AttemptLaunched(child_id=key.child_id, attempt=key.attempt, kind=request.kind)
        launched.append((key, expected in journal.facts()))

    executor = ObservedExecutor(slots=2, epoch_seconds=0.0, on_launch=look)
    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=executor)) as plane:
        await plane.end((await plane.start()).search_id)

    assert 13 == len(launched) == len({key for key, _ in launched})
    assert all(is_journaled for _, is_journaled in launched)


async def test_no_more_attempts_run_than_there_are_slots(tmp_path: Path) -> None:
    """Two slots, two searches: never more than two, and two whenever there is work for two."""
    counts = []

    def count(request: AttemptRequest) -> None:
        counts.append(len(executor.running()))

    executor = ObservedExecutor(slots=2, epoch_seconds=0.002, on_launch=count)
    async with running(ControlPlane(folder=tmp_path, executor=executor)) as plane:
        views = [await plane.start(number, seed=number) for number in (1, 2)]
        for view in views:
            await plane.end(view.search_id)

    assert {0, 1} == set(counts)


@pytest.mark.parametrize(("slots", "expected"), [(2, (2, 0, 0)), (4, (4, 0, 0)), (5, (4, 1, 0)), (12, (4, 4, 4))])
async def test_searches_share_the_workers_in_the_order_of_their_start(
    tmp_path: Path, slots: int, expected: tuple[int, ...]
) -> None:
    """Each has four children to train; a younger search gets the workers for which the older ones have no work."""
    executor = FakeExecutor(slots=slots, epoch_seconds=FOREVER)
    plane = ControlPlane(folder=tmp_path, executor=executor)
    views = [await plane.start(number) for number in (1, 2, 3)]

    await plane.registry._scheduler.reconcile()

    owners = [key.search_id for key in executor.running()]
    assert expected == tuple(owners.count(view.search_id) for view in views)
    await plane.registry.close()


async def test_a_cancelled_search_leaves_its_workers_to_the_next(tmp_path: Path) -> None:
    """The other search goes on at once."""
    executor = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, executor=executor)) as plane:
        older, younger = [await plane.start(number, seed=number) for number in (1, 2)]
        await plane.wait_for(older.search_id, events.AttemptStarted)

        await plane.registry.control(older.search_id, commands.CancelSearch(principal=""))
        await plane.wait_for(younger.search_id, events.AttemptStarted)

        assert SearchState.CANCELLED is plane.registry.view(older.search_id).search.state
        assert {younger.search_id} == {key.search_id for key in executor.running()}


async def test_a_worker_does_not_outlive_its_search(tmp_path: Path) -> None:
    """One whose attempt is over by what it said, while it still runs, is ended although the search has ended, too."""
    executor = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    plane = ControlPlane(folder=tmp_path, executor=executor)
    search_id = (await plane.start()).search_id
    await plane.registry._scheduler.reconcile()
    (key,) = executor.running()
    await plane.registry.control(search_id, commands.CancelSearch())
    reason = LostReason.PROTOCOL_VIOLATED
    lost = commands.ReportLost(child_id=key.child_id, attempt=key.attempt, reason=reason, detail="nonsense")
    await plane.registry._engine(search_id).submit(lost)
    assert SearchState.CANCELLED is plane.registry.view(search_id).search.state

    await plane.registry._scheduler.reconcile()

    assert frozenset() == executor.running()
    await plane.registry.close()


async def test_the_time_budget_ends_a_search_without_a_result(tmp_path: Path) -> None:
    """Running children are cancelled, waiting ones never launched; nothing was trained, so it has failed."""
    clock, executor = TurnedClock(), FakeExecutor(slots=2, epoch_seconds=FOREVER)
    plane = ControlPlane(folder=tmp_path, executor=executor, clock=clock.as_clock())
    async with running(plane):
        search_id = (await plane.start(time_budget_seconds=60)).search_id
        await plane.wait_for(search_id, events.AttemptStarted)
        clock.seconds = 60.0
        plane.registry._scheduler.wake()

        ended = await plane.end(search_id)

        history = [envelope.fact for envelope in await plane.events(search_id)]
        lost = [fact.reason for fact in history if isinstance(fact, events.AttemptLost)]
        assert [LostReason.CANCELLED] * 2 == lost
        assert 2 == sum(isinstance(fact, events.AttemptLaunched) for fact in history)
        assert SearchFailure.NO_VALID_CHILDREN is ended.search.failure
        assert StopReason.TIME_BUDGET is ended.search.stop


async def test_the_time_budget_keeps_what_was_finished(tmp_path: Path) -> None:
    """Two children are done when the time is up: the better one is evaluated, and the search has succeeded."""
    clock = TurnedClock()
    finished: list[ChildId] = []

    def turn(envelope: Envelope) -> None:
        if isinstance(envelope.fact, events.ChildSucceeded):
            finished.append(envelope.fact.child_id)

    def hold(request: AttemptRequest) -> None:
        clock.seconds += 30.0
        executor.take(FOREVER if request.key.child_id == ChildId(1, 3) else 0.0)

    executor = ObservedExecutor(slots=1, epoch_seconds=0.0, on_launch=hold)
    plane = ControlPlane(folder=tmp_path, clock=clock.as_clock(), executor=executor, sinks=(turn,))
    async with running(plane):
        search_id = (await plane.start(time_budget_seconds=60)).search_id

        ended = await plane.end(search_id)

        assert [ChildId(1, 1), ChildId(1, 2)] == finished
        assert (SearchState.SUCCEEDED, StopReason.TIME_BUDGET) == (ended.search.state, ended.search.stop)
        assert ended.search.incumbent is not None
        assert ended.search.incumbent.child_id in finished
        assert () == ended.search.selections


async def test_the_time_budget_holds_back_what_finishing_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of 10 s mean 50 s for the best net: of 120 s the search has 90 s, and then the net is finished."""

    def measure(**given: Any) -> EpochResult:
        return replace(simulate_epoch(**given), seconds=10.0)

    def hold(request: AttemptRequest) -> None:
        clock.seconds += 30.0
        executor.take(FOREVER if request.key.child_id == ChildId(1, 3) else 0.0)

    monkeypatch.setattr("server.executor.fake.simulate_epoch", measure)
    clock = TurnedClock()
    executor = ObservedExecutor(slots=1, epoch_seconds=0.0, on_launch=hold)
    plane = ControlPlane(folder=tmp_path, clock=clock.as_clock(), executor=executor)
    async with running(plane):
        search_id = (await plane.start(time_budget_seconds=120, finish=Finish.FULL)).search_id

        reached = await plane.wait_for(search_id, events.TimeBudgetReached)
        ended = await plane.end(search_id)

    assert 90.0 == reached.running_seconds
    assert (SearchState.SUCCEEDED, StopReason.TIME_BUDGET) == (ended.search.state, ended.search.stop)
    (finished,) = ended.search.finishing_children
    assert (ChildId(2, 1), 5) == (finished.child_id, len(finished.epochs))
    assert finished == ended.search.incumbent


async def test_downtime_does_not_use_up_the_time_budget(tmp_path: Path) -> None:
    """After a day without a server there are still ten seconds left, and after eleven more there are none."""
    clock, journal = TurnedClock(), MemoryJournal()
    stuck = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, journal=journal, clock=clock.as_clock(), executor=stuck)) as plane:
        search_id = (await plane.start(time_budget_seconds=60)).search_id
        await plane.wait_for(search_id, events.AttemptStarted)
        clock.seconds = 50.0
    clock.seconds = 86_400.0

    stuck = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, journal=journal, clock=clock.as_clock(), executor=stuck)) as plane:
        await plane.wait_for(search_id, events.AttemptStarted, count=2)
        before = plane.registry.view(search_id).search.is_out_of_time
        clock.seconds += 11.0
        plane.registry._scheduler.wake()
        ended = await plane.end(search_id)

    assert not before
    assert ended.search.is_out_of_time


async def test_waiting_for_a_worker_does_not_use_up_the_time_budget(tmp_path: Path) -> None:
    """A search that waits for a day behind another one says why, and then has all of its time."""
    clock, executor = TurnedClock(), FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, executor=executor, clock=clock.as_clock())) as plane:
        older, younger = [
            (await plane.start(number, seed=number, time_budget_seconds=budget)).search_id
            for number, budget in ((1, 0), (2, 60))
        ]
        await plane.wait_for(older, events.AttemptStarted)
        clock.seconds = 86_400.0
        plane.registry._scheduler.wake()
        queued = {search_id: plane.registry.view(search_id).is_queued for search_id in (older, younger)}
        await plane.registry.control(older, commands.CancelSearch())
        await plane.wait_for(younger, events.AttemptStarted)
        begun = plane.registry.view(younger)
        clock.seconds += 59.0
        nearly = plane.registry.view(younger).running_seconds
        clock.seconds += 2.0
        plane.registry._scheduler.wake()
        ended = await plane.end(younger)

    assert {older: False, younger: True} == queued
    assert (0.0, False, 59.0) == (begun.running_seconds, begun.is_queued, nearly)
    assert ended.search.is_out_of_time


async def test_the_end_of_the_time_budget_is_noticed_without_any_event(tmp_path: Path) -> None:
    """Nothing happens for a second, then the search ends: the one test that looks at the real clock."""
    executor = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    async with running(ControlPlane(folder=tmp_path, executor=executor)) as plane:
        search_id = (await plane.start(time_budget_seconds=1)).search_id

        async with asyncio.timeout(20):
            ended = await plane.end(search_id)

        assert ended.search.is_out_of_time
        assert 1.0 <= ended.running_seconds < 20.0


async def test_only_files_that_are_needed_are_kept(tmp_path: Path) -> None:
    """Weights of parents and incumbent stay, and no checkpoint once a child is trained, whenever one looks."""
    files, searches = StateFiles(tmp_path), []

    def write(envelope: Envelope) -> None:
        match envelope.fact:
            case events.AttemptLaunched(child_id=child_id):
                folder = files.checkpoints(envelope.search_id, child_id)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "epoch-1").touch()
            case events.ChildSucceeded(child_id=child_id):
                path = files.weights(envelope.search_id, child_id)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            case events.SearchStarted():
                searches.append(envelope.search_id)

    plane = ControlPlane(folder=tmp_path, sinks=(write,))
    search_id = (await plane.start()).search_id
    while not (ended := plane.registry.view(search_id)).search.state.is_terminal:
        await plane.registry._scheduler.reconcile()
        await asyncio.sleep(0)  # the executor's turn
    await plane.registry._scheduler.reconcile()
    await plane.registry.close()

    weights = {path.stem for path in (tmp_path / "searches" / search_id / "weights").iterdir()}
    checkpoints = list((tmp_path / "searches" / search_id / "checkpoints").iterdir())
    assert {str(child_id) for child_id in retained(ended.search).weights} == weights
    assert ended.search.incumbent is not None
    assert str(ended.search.incumbent.child_id) in weights
    assert [] == checkpoints
    assert [search_id] == searches


async def test_a_running_child_keeps_its_checkpoints(tmp_path: Path) -> None:
    """They are what its next attempt goes on from; those of nobody are deleted."""
    files = StateFiles(tmp_path)
    plane = ControlPlane(folder=tmp_path, executor=FakeExecutor(slots=1, epoch_seconds=FOREVER))
    search_id = (await plane.start()).search_id
    for child in ("1-1", "9-9"):
        folder = files.checkpoints(search_id, ChildId.parse(child))
        folder.mkdir(parents=True)
        (folder / "epoch-3").touch()

    await plane.registry._scheduler.reconcile()
    await plane.registry.close()

    assert (files.checkpoints(search_id, ChildId(1, 1)) / "epoch-3").exists()
    assert not files.checkpoints(search_id, ChildId(9, 9)).exists()


class FailingJournal(MemoryJournal):
    """Works until it is told not to."""

    failure: Exception | None = None

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        if self.failure is not None:
            raise self.failure
        return await super().append(search_id, expected_sequence, payloads)


@pytest.mark.parametrize("epoch_seconds", [0.0, FOREVER], ids=["while reporting", "while idle"])
async def test_a_failed_journal_ends_the_server(tmp_path: Path, epoch_seconds: float) -> None:
    """Whoever meets it first, a report or a call of the API: the server is told, and the close does not hang."""
    journal = FailingJournal()
    executor = FakeExecutor(slots=1, epoch_seconds=epoch_seconds)

    def fail(envelope: Envelope) -> None:
        if isinstance(envelope.fact, events.AttemptStarted):
            journal.failure = FAILED

    async with running(ControlPlane(folder=tmp_path, journal=journal, executor=executor, sinks=(fail,))) as plane:
        search_id = (await plane.start()).search_id
        await plane.wait_for(search_id, events.AttemptStarted)

        with pytest.raises(JournalFailedError):
            await plane.registry.control(search_id, commands.CancelSearch(principal=""))

    assert {FAILED} == set(plane.fatal)


async def test_a_stop_on_a_full_disk_does_not_wait_for_room(tmp_path: Path) -> None:
    """Reports that cannot be written are dropped; the next server finds their attempts as after a crash."""
    journal = FailingJournal()

    def fill(envelope: Envelope) -> None:
        if isinstance(envelope.fact, events.AttemptStarted):
            journal.failure = JournalFullError(Path("journal.db"))

    async with asyncio.timeout(20):
        async with running(ControlPlane(folder=tmp_path, journal=journal, sinks=(fill,))) as plane:
            search_id = (await plane.start()).search_id
            await plane.wait_for(search_id, events.AttemptStarted)
    journal.failure = None
    async with running(ControlPlane(folder=tmp_path, journal=journal)) as again:
        ended = await again.end(search_id)

    assert [] == plane.fatal
    assert SearchState.SUCCEEDED is ended.search.state


async def test_an_executor_that_fails_ends_the_server(tmp_path: Path) -> None:
    """An error that no executor may raise is a bug: better to stop than to wait for ever."""

    class Broken(FakeExecutor):
        async def launch(self, request: AttemptRequest, on_report: OnReport) -> None:
            told.set()
            raise ZeroDivisionError

    told = asyncio.Event()
    async with running(ControlPlane(folder=tmp_path, executor=Broken(slots=1, epoch_seconds=0.0))) as plane:
        await plane.start()
        await told.wait()

    assert [ZeroDivisionError] == [type(error) for error in plane.fatal]


async def test_requests_say_all_that_a_worker_needs(tmp_path: Path) -> None:
    """What the journal has of a child goes with its next attempt: epochs, and for the evaluation epoch and weights."""
    seen: dict[Any, AttemptRequest] = {}
    executor = ObservedExecutor(
        slots=1, epoch_seconds=0.0, on_launch=lambda request: seen.update({request.kind: request})
    )
    async with running(ControlPlane(folder=tmp_path, executor=executor)) as plane:
        training = TrainingConfig(max_epochs=3)
        search_id = (await plane.start(max_iterations=1, training=training)).search_id
        search = (await plane.end(search_id)).search

    evaluation = seen.popitem()[1]
    winner = search.incumbent
    assert winner is not None
    assert (winner.child_id, winner.best_epoch, winner.weights_sha256, 3) == (
        evaluation.key.child_id,
        evaluation.best_epoch,
        evaluation.weights_sha256,
        evaluation.epochs_recorded,
    )
    assert (search.config, search.started.dataset) == (evaluation.config, evaluation.dataset)
    assert (winner.architecture, winner.graph_hash) == (evaluation.architecture, evaluation.graph_hash)
