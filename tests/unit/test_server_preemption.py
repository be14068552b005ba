# SPDX-License-Identifier: Apache-2.0
"""A server that is asked to stop first asks its workers, hears them out, and then ends what is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import faulty_worker
from attempts import Listener, make_request, worker_pids
from control_plane import FOREVER, ControlPlane, running

from nas.search import commands, events
from nas.search.reasons import AttemptKind, LostReason
from server.executor.attempts import ProcessExecutor
from server.executor.fake import FakeExecutor
from server.executor.instructions import WorkerOptions
from server.executor.local import local_executor
from server.executor.process import WORKER
from server.files import StateFiles

INTERRUPTED = (LostReason.PREEMPTED, "interrupted")


@asynccontextmanager
async def _executor(
    folder: Path, *command: str, preempt_seconds: float = 60.0, epoch_seconds: float = FOREVER
) -> AsyncIterator[ProcessExecutor]:
    options = WorkerOptions(
        trainer="simulated", data_root=None, epoch_seconds=epoch_seconds, preempt_seconds=preempt_seconds
    )
    executor = local_executor(slots=2, files=StateFiles(folder), options=options, command=command or WORKER)
    try:
        yield executor
    finally:
        await executor.close()


async def test_workers_that_are_asked_report_themselves_preempted(tmp_path: Path) -> None:
    """A training and an evaluation end at once with an outcome of their own, and no warm worker is kept."""
    listener = Listener()
    requests = [make_request("1-1"), make_request("1-2", kind=AttemptKind.TEST_EVALUATION, best_epoch=1)]
    async with _executor(tmp_path) as executor:
        for request in requests:
            await executor.launch(request, listener.hear)
            await listener.report(request, commands.ReportStarted)
        await executor.expect(1)

        await executor.preempt()

        outcomes = [listener.of(request)[-1] for request in requests]
        assert frozenset() == executor.running()
    lost = [outcome for outcome in outcomes if isinstance(outcome, commands.ReportLost)]
    assert [INTERRUPTED] * 2 == [(outcome.reason, outcome.detail) for outcome in lost]
    assert set() == worker_pids()


async def test_a_worker_that_is_being_started_is_asked_with_its_request(tmp_path: Path) -> None:
    """Right after the launch nobody is there to be asked; the answer is the same."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path) as executor:
        await executor.launch(request, listener.hear)
        await asyncio.sleep(0)

        await executor.preempt()

    started, lost = listener.of(request)
    assert isinstance(started, commands.ReportStarted)
    assert isinstance(lost, commands.ReportLost)
    assert LostReason.PREEMPTED is lost.reason


async def test_a_worker_that_does_not_answer_is_left_to_close(tmp_path: Path) -> None:
    """After the time that it is given nothing is reported of it; closing kills it."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, preempt_seconds=0.2) as executor:
        await executor.launch(request, listener.hear)
        await listener.report(request, commands.ReportStarted)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()

        await executor.preempt()

        waited = time.monotonic() - begin
        assert {request.key} == executor.running()
    assert 0.2 <= waited < 10
    assert set() == worker_pids()
    assert [commands.ReportStarted] == [type(report) for report in listener.of(request)]


async def test_a_worker_that_stays_after_its_outcome_is_not_waited_for(tmp_path: Path) -> None:
    """Only outcomes are waited for."""
    listener, request = Listener(), make_request()
    command = (sys.executable, "-S", faulty_worker.__file__, "stays_after_its_outcome")
    async with _executor(tmp_path, *command) as executor:
        await executor.launch(request, listener.hear)
        await listener.outcome(request)
        begin = time.monotonic()

        await executor.preempt()

        assert time.monotonic() - begin < 5


async def test_a_worker_leaves_sigterm_to_its_server(tmp_path: Path) -> None:
    """Service managers send it to every process; a child whose worker died of it would be blamed."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path) as executor:
        await executor.launch(request, listener.hear)
        await listener.report(request, commands.ReportStarted)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGTERM)

        await executor.preempt()

    outcome = listener.of(request)[-1]
    assert isinstance(outcome, commands.ReportLost)
    assert INTERRUPTED == (outcome.reason, outcome.detail)


async def test_a_worker_that_dies_while_it_is_asked_is_told_as_ever(tmp_path: Path) -> None:
    """A fault is a fault, whenever it happens."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path) as executor:
        await executor.launch(request, listener.hear)
        await listener.report(request, commands.ReportStarted)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGKILL)

        await executor.preempt()

    outcome = listener.of(request)[-1]
    assert isinstance(outcome, commands.ReportLost)
    assert LostReason.WORKER_SIGNALLED is outcome.reason


async def test_asking_nobody_does_not_wait(tmp_path: Path) -> None:
    """Neither before the first attempt nor after the last one."""
    listener, request = Listener(), make_request()
    begin = time.monotonic()
    async with _executor(tmp_path, preempt_seconds=FOREVER, epoch_seconds=0.0) as executor:
        await executor.preempt()
        await executor.launch(request, listener.hear)
        outcome = await listener.outcome(request)
        await executor.preempt()

    assert isinstance(outcome, commands.ReportTrained)
    assert time.monotonic() - begin < 30


async def test_fake_attempts_have_nothing_to_keep() -> None:
    """They go on until they are closed."""
    listener, request = Listener(), make_request()
    executor = FakeExecutor(slots=1, epoch_seconds=FOREVER)
    await executor.launch(request, listener.hear)
    await listener.report(request, commands.ReportStarted)

    await executor.preempt()

    assert {request.key} == executor.running()
    assert [commands.ReportStarted] == [type(report) for report in listener.of(request)]
    await executor.close()


class _LastWords(FakeExecutor):
    """Says that one attempt was preempted, with a detail of its own, as late as it may."""

    async def preempt(self) -> None:
        key = min(self.running(), key=lambda key: key.child_id)
        lost = commands.ReportLost(
            child_id=key.child_id, attempt=key.attempt, reason=LostReason.PREEMPTED, detail="epoch 2 goes on"
        )
        self._report(key, lost)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()  # not waited for, so that nothing gives the report time to be journaled
        self._tasks.clear()


async def test_what_a_worker_says_last_is_journaled_before_the_rest_is_lost(tmp_path: Path) -> None:
    """Each attempt is lost once: with the worker's own words, or with the server's where it said nothing."""
    plane = ControlPlane(folder=tmp_path, executor=_LastWords(slots=2, epoch_seconds=FOREVER))

    async with running(plane):
        search_id = (await plane.start()).search_id
        await plane.wait_for(search_id, events.AttemptStarted, count=2)

    history = [envelope.fact for envelope in await plane.events(search_id)]
    lost = [(fact.reason, fact.detail) for fact in history if isinstance(fact, events.AttemptLost)]
    assert [(LostReason.PREEMPTED, "epoch 2 goes on"), (LostReason.PREEMPTED, "the server was asked to stop")] == lost
    assert [] == plane.fatal
