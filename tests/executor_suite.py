# SPDX-License-Identifier: Apache-2.0
"""The contract of an executor as a test suite; a subclass says how to make the executor."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from attempts import Listener, make_request, worker_pids

from nas.search import commands
from nas.search.reasons import AttemptKind, LostReason
from server.executor.base import OUTCOMES, Executor

FOREVER = 3600.0


class ExecutorContract(ABC):
    """The suite; an implementation says how to make an executor."""

    @abstractmethod
    def make(self, folder: Path, *, epoch_seconds: float) -> Executor:
        """Return an executor with two slots whose epochs take that long."""

    def processes(self) -> set[int]:
        """Process ids of its living workers."""
        return worker_pids()

    @pytest.fixture
    async def executor(self, tmp_path: Path) -> AsyncIterator[Executor]:
        """An executor whose attempts end at once."""
        executor = self.make(tmp_path, epoch_seconds=0.0)
        yield executor
        await executor.close()

    @pytest.fixture
    async def slow(self, tmp_path: Path) -> AsyncIterator[Executor]:
        """An executor whose attempts never end by themselves."""
        executor = self.make(tmp_path, epoch_seconds=FOREVER)
        yield executor
        await executor.close()

    async def test_a_training_reports_start_epochs_and_outcome(self, executor: Executor) -> None:
        """In this order, each epoch once, and nothing after the outcome."""
        listener, request = Listener(), make_request()

        await executor.launch(request, listener.hear)
        silent, running = listener.heard.copy(), executor.running()
        outcome = await listener.outcome(request)

        assert [] == silent
        assert {request.key} == running
        started, *epochs, last = listener.of(request)
        assert isinstance(started, commands.ReportStarted)
        assert 0 == started.resumed_after_epoch
        assert [1, 2] == [report.result.epoch for report in epochs if isinstance(report, commands.ReportEpoch)]
        assert isinstance(last, commands.ReportTrained)
        assert outcome is last
        assert (2, 2) == (last.epochs, last.best_epoch)
        assert frozenset() == executor.running()

    async def test_a_resumed_training_goes_on_after_the_recorded_epochs(self, executor: Executor) -> None:
        """What the journal has is not reported again, and the result is that of an undisturbed training."""
        listener, whole, resumed = Listener(), make_request(), make_request(attempt=2, epochs_recorded=1)
        await executor.launch(whole, listener.hear)
        first = await listener.outcome(whole)

        await executor.launch(resumed, listener.hear)
        second = await listener.outcome(resumed)

        assert [2] == [r.result.epoch for r in listener.of(resumed) if isinstance(r, commands.ReportEpoch)]
        assert replace(first, attempt=2) == second

    async def test_a_test_evaluation_reports_start_and_evaluation(self, executor: Executor) -> None:
        """It trains nothing, and it counts the images of the test part."""
        listener = Listener()
        request = make_request(kind=AttemptKind.TEST_EVALUATION, best_epoch=2)
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

        assert isinstance(outcome, commands.ReportEvaluated)
        assert request.dataset.counts.test == outcome.evaluation.total
        assert [commands.ReportStarted, commands.ReportEvaluated] == [type(report) for report in listener.of(request)]

    async def test_attempts_run_side_by_side(self, slow: Executor) -> None:
        """As many as there are slots are running at the same time, each with a report of its own."""
        listener, requests = Listener(), [make_request("1-1"), make_request("1-2")]

        for request in requests:
            await slow.launch(request, listener.hear)
        for request in requests:
            await listener.report(request, commands.ReportStarted)

        assert slow.slots == len(requests)
        assert {request.key for request in requests} == slow.running()

    async def test_a_cancelled_attempt_is_lost_once(self, slow: Executor) -> None:
        """However often it is cancelled; the other attempt goes on."""
        listener, request, other = Listener(), make_request("1-1"), make_request("1-2")
        for one in (request, other):
            await slow.launch(one, listener.hear)
            await listener.report(one, commands.ReportStarted)

        await slow.cancel(request.key)
        await slow.cancel(request.key)
        outcome = await listener.outcome(request)
        await slow.cancel(request.key)

        assert (LostReason.CANCELLED, 1) == (outcome.reason, outcome.attempt)
        assert {other.key} == slow.running()
        assert [commands.ReportStarted] == [type(report) for report in listener.of(other)]
        assert 2 == len(listener.of(request))

    async def test_an_attempt_can_be_cancelled_before_it_has_begun(self, slow: Executor) -> None:
        """Right after the launch, when there may be no worker yet."""
        listener, request = Listener(), make_request()
        await slow.launch(request, listener.hear)

        await slow.cancel(request.key)

        outcome = await listener.outcome(request)
        assert LostReason.CANCELLED is outcome.reason
        assert [outcome] == listener.of(request)

    async def test_cancelling_what_is_not_running_changes_nothing(self, executor: Executor) -> None:
        """An attempt that is over, and one that never was."""
        listener, request = Listener(), make_request()
        await executor.launch(request, listener.hear)
        await listener.outcome(request)
        heard = listener.heard.copy()

        await executor.cancel(request.key)
        await executor.cancel(make_request("9-9").key)

        assert heard == listener.heard

    async def test_close_ends_everything_in_silence(self, slow: Executor) -> None:
        """No process is left, no outcome is reported, and closing again does nothing."""
        listener, requests = Listener(), [make_request("1-1"), make_request("1-2")]
        for request in requests:
            await slow.launch(request, listener.hear)
            await listener.report(request, commands.ReportStarted)
        await slow.expect(1)

        await slow.close()
        await slow.close()

        assert set() == self.processes()
        assert frozenset() == slow.running()
        assert [commands.ReportStarted] * 2 == [type(report) for _, report in listener.heard]

    async def test_attempts_that_are_asked_to_stop_end_once(self, slow: Executor) -> None:
        """As PREEMPTED or, where there is nothing to keep, without a word at the close; no process is left."""
        listener, requests = Listener(), [make_request("1-1"), make_request("1-2")]
        for request in requests:
            await slow.launch(request, listener.hear)
            await listener.report(request, commands.ReportStarted)

        await slow.preempt()
        await slow.close()

        assert set() == self.processes()
        for request in requests:
            outcomes = [report for report in listener.of(request) if isinstance(report, OUTCOMES)]
            assert {LostReason.PREEMPTED} >= {getattr(outcome, "reason", None) for outcome in outcomes}
            assert len(outcomes) <= 1

    async def test_close_right_after_a_launch_does_not_wait_for_the_training(self, slow: Executor) -> None:
        """An attempt whose worker is being started is ended, too."""
        listener = Listener()
        await slow.launch(make_request(), listener.hear)
        await asyncio.sleep(0)

        await slow.close()

        assert set() == self.processes()
        assert [] == listener.heard

    async def test_expecting_attempts_changes_nothing_but_the_pace(self, executor: Executor) -> None:
        """Warm workers give the same result, and no attempt is running because one is expected."""
        listener, cold, warm = Listener(), make_request("1-1"), make_request("1-1", attempt=2)
        await executor.launch(cold, listener.hear)
        first = await listener.outcome(cold)

        await executor.expect(1)
        await executor.expect(2)
        running = executor.running()
        await executor.launch(warm, listener.hear)
        second = await listener.outcome(warm)

        assert frozenset() == running
        assert replace(first, attempt=2) == second
