# SPDX-License-Identifier: Apache-2.0
"""Attempts that only take time: simulated measurements in the server's own process, for tests and demonstrations."""

from __future__ import annotations

import asyncio
import hashlib

from nas.assessment import Assessed
from nas.child import EpochResult
from nas.config import Device, Precision
from nas.recipe import planned_epochs
from nas.search import commands
from nas.search.conditions import Runtime
from nas.search.reasons import AttemptKind, LostReason
from nas.search.simulation import simulate_epoch, simulated_weights
from server.executor.base import OUTCOMES, AttemptKey, AttemptRequest, OnReport


class FakeExecutor:
    """Follows the contract of ``Executor`` without a worker."""

    def __init__(self, *, slots: int, epoch_seconds: float) -> None:
        self._slots = slots
        self._epoch_seconds = epoch_seconds
        self._tasks: dict[AttemptKey, asyncio.Task[None]] = {}
        self._reports: dict[AttemptKey, OnReport] = {}

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        return "fake"

    @property
    def slots(self) -> int:
        """Attempts that can run at the same time."""
        return self._slots

    def running(self) -> frozenset[AttemptKey]:
        """Attempts without an outcome."""
        return frozenset(self._tasks)

    async def launch(self, request: AttemptRequest, on_report: OnReport) -> None:
        """Start a task that sleeps as long as its epochs take."""
        key = request.key
        self._reports[key] = on_report
        self._tasks[key] = asyncio.create_task(self._run(request), name=f"fake attempt {key}")

    async def cancel(self, key: AttemptKey) -> None:
        """End the task."""
        self._lose(key, LostReason.CANCELLED, "cancelled")

    async def interrupt(self, key: AttemptKey) -> None:
        """End the task; its epochs are in the journal."""
        self._lose(key, LostReason.PREEMPTED, "interrupted")

    async def expect(self, attempts: int) -> None:
        """Nothing to warm."""

    async def preempt(self) -> None:
        """Nothing to keep."""

    async def close(self) -> None:
        """End all tasks."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._reports.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _lose(self, key: AttemptKey, reason: LostReason, detail: str) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
            lost = commands.ReportLost(child_id=key.child_id, attempt=key.attempt, reason=reason, detail=detail)
            self._report(key, lost)

    def _report(self, key: AttemptKey, report: commands.Report) -> None:
        on_report = self._reports.get(key)
        if on_report is None:
            return
        if isinstance(report, OUTCOMES):
            del self._reports[key], self._tasks[key]
        on_report(key, report)

    async def _run(self, request: AttemptRequest) -> None:
        await asyncio.sleep(0)  # launch returns before the first report
        key = request.key
        runtime = Runtime(
            device=Device.CPU,
            precision=Precision.FP32,
            threads=request.resources.threads,
            hardware="simulated",
            versions=(),
        )
        self._report(
            key,
            commands.ReportStarted(
                child_id=key.child_id,
                attempt=key.attempt,
                runtime=runtime,
                resumed_after_epoch=request.epochs_recorded,
            ),
        )
        if request.kind is AttemptKind.TRAINING:
            await self._train(request)
        else:
            await self._evaluate(request)

    async def _train(self, request: AttemptRequest) -> None:
        key = request.key
        epochs = planned_epochs(request.training, sum(request.dataset.counts.train))
        weights = simulated_weights(search_seed=request.config.seed, graph_hash=request.graph_hash)
        for epoch in range(request.epochs_recorded + 1, epochs + 1):
            await asyncio.sleep(self._epoch_seconds)
            result = _simulate(request, epoch, request.dataset.counts.validation)
            self._report(key, commands.ReportEpoch(child_id=key.child_id, attempt=key.attempt, result=result))
        best = _simulate(request, epochs, request.dataset.counts.validation)
        self._report(
            key,
            commands.ReportTrained(
                child_id=key.child_id,
                attempt=key.attempt,
                epochs=epochs,
                best_epoch=epochs,
                is_stopped_early=False,
                evaluation=best.validation,
                weights_sha256=hashlib.sha256(weights).hexdigest(),
            ),
        )

    async def _evaluate(self, request: AttemptRequest) -> None:
        key = request.key
        await asyncio.sleep(self._epoch_seconds)
        totals = request.dataset.counts.test
        others = tuple(
            Assessed(
                child_id=net.child_id,
                evaluation=simulate_epoch(
                    search_seed=request.config.seed,
                    graph_hash=net.graph_hash,
                    iteration=net.child_id.iteration,
                    epoch=net.best_epoch,
                    totals=totals,
                ).validation,
            )
            for net in request.others
        )
        evaluation = _simulate(request, request.best_epoch, totals).validation
        self._report(
            key,
            commands.ReportEvaluated(child_id=key.child_id, attempt=key.attempt, evaluation=evaluation, others=others),
        )


def _simulate(request: AttemptRequest, epoch: int, totals: tuple[int, ...]) -> EpochResult:
    return simulate_epoch(
        search_seed=request.config.seed,
        graph_hash=request.graph_hash,
        iteration=request.key.child_id.iteration,
        epoch=epoch,
        totals=totals,
    )
