# SPDX-License-Identifier: Apache-2.0
"""Attempts as processes of this machine: a fresh one an attempt, one more kept warm while a search runs."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from nas.notation import format_notation
from nas.search import commands
from nas.search.facts import AttemptKind, LostReason
from server.codec.lines import LineError, WorkerRequest, decode_report, encode_request
from server.executor.base import OUTCOMES, AttemptKey, AttemptRequest, OnReport
from server.executor.process import WorkerProcess
from server.files import StateFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What all workers of a server have in common.

    Attributes:
        trainer: ``torch`` or ``simulated``.
        data_root: where data sets lie; None if the server has none.
        epoch_seconds: how long an epoch of the simulated trainer takes.
    """

    trainer: str
    data_root: Path | None
    epoch_seconds: float


@dataclass(slots=True)
class _Attempt:
    """An attempt and the task that listens to its worker."""

    on_report: OnReport
    task: asyncio.Task[None] | None = None
    is_cancelled: bool = False
    worker: WorkerProcess | None = None


class LocalExecutor:
    """Follows the contract of ``Executor`` with worker processes."""

    def __init__(self, *, slots: int, files: StateFiles, options: WorkerOptions) -> None:
        self._slots = slots
        self._files = files
        self._options = options
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._spare: WorkerProcess | None = None
        self._spare_count = 0

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        return "local"

    @property
    def slots(self) -> int:
        """Attempts that can run at the same time."""
        return self._slots

    def running(self) -> frozenset[AttemptKey]:
        """Attempts without an outcome."""
        return frozenset(self._attempts)

    async def launch(self, request: AttemptRequest, on_report: OnReport) -> None:
        """Give the request to a warm worker, or to a new one."""
        attempt = self._attempts[request.key] = _Attempt(on_report)
        attempt.task = asyncio.create_task(self._run(request, attempt), name=f"attempt {request.key}")

    async def cancel(self, key: AttemptKey) -> None:
        """Kill the worker; the attempt is lost as CANCELLED."""
        attempt = self._attempts.get(key)
        if attempt is None or attempt.is_cancelled:
            return
        attempt.is_cancelled = True
        if attempt.worker is not None:
            attempt.worker.kill()

    async def expect(self, attempts: int) -> None:
        """Keep one worker warm as long as attempts are near."""
        if attempts and self._spare is None:
            self._spare = await self._spawn()
        elif not attempts and self._spare is not None:
            spare, self._spare = self._spare, None
            await spare.discard()

    async def close(self) -> None:
        """Kill all workers and wait for them."""
        attempts = list(self._attempts.values())
        self._attempts.clear()
        for attempt in attempts:
            if attempt.worker is not None:
                attempt.worker.kill()
        await self.expect(0)
        tasks = [attempt.task for attempt in attempts if attempt.task is not None]
        await asyncio.gather(*tasks, *self._leaving, return_exceptions=True)

    async def _run(self, request: AttemptRequest, attempt: _Attempt) -> None:
        """See an attempt through to its outcome."""
        try:
            worker = attempt.worker = await self._take_worker(request.key)
        except OSError as error:
            self._lose(request.key, LostReason.WORKER_EXITED, f"no worker could be started: {error.strerror}")
            return
        if attempt.is_cancelled:
            worker.kill()
        try:
            await worker.send(encode_request(self._worker_request(request)))
            await self._listen(worker, request.key)
        except ConnectionError:
            pass  # it is gone, and how it went is told by its exit status
        except (LineError, ValueError) as error:
            worker.kill()
            self._lose(request.key, LostReason.PROTOCOL_VIOLATED, str(error))
        status = await worker.wait()
        self._lose_to(request.key, attempt, worker, status)

    async def _listen(self, worker: WorkerProcess, key: AttemptKey) -> None:
        async for line in worker.lines():
            if key in self._attempts:
                self._report(key, decode_report(line, key.child_id, key.attempt))

    def _report(self, key: AttemptKey, report: commands.Report) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        if isinstance(report, OUTCOMES):
            del self._attempts[key]
            if attempt.task is not None:  # the process may take a moment to leave
                self._leaving.add(attempt.task)
                attempt.task.add_done_callback(self._leaving.discard)
        attempt.on_report(key, report)

    def _lose_to(self, key: AttemptKey, attempt: _Attempt, worker: WorkerProcess, status: int) -> None:
        """Report how a worker without an outcome ended."""
        if attempt.is_cancelled:
            self._lose(key, LostReason.CANCELLED, "cancelled")
        elif status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            hint = "; the kernel may have run out of memory" if -status == signal.SIGKILL else ""
            self._lose(key, LostReason.WORKER_SIGNALLED, f"the worker was ended by {name}{hint}")
        else:
            words = worker.last_words()
            said = f": {words}" if words else ""
            self._lose(key, LostReason.WORKER_EXITED, f"the worker exited with status {status} without a result{said}")

    def _lose(self, key: AttemptKey, reason: LostReason, detail: str) -> None:
        self._report(key, commands.ReportLost(child_id=key.child_id, attempt=key.attempt, reason=reason, detail=detail))

    async def _take_worker(self, key: AttemptKey) -> WorkerProcess:
        spare, self._spare = self._spare, None
        worker = spare if spare is not None and spare.is_alive else await self._spawn()
        worker.move_log(self._files.log(key.search_id, key.child_id, key.attempt))
        return worker

    async def _spawn(self) -> WorkerProcess:
        self._spare_count += 1
        log = self._files.root / "searches" / f"worker-{self._spare_count}.log"
        return await WorkerProcess.spawn("--trainer", self._options.trainer, log=log)

    def _worker_request(self, request: AttemptRequest) -> WorkerRequest:
        key, config, dataset = request.key, request.config, request.dataset
        is_training = request.kind is AttemptKind.TRAINING
        return WorkerRequest(
            kind=request.kind,
            child_id=key.child_id,
            attempt=key.attempt,
            notation=format_notation(request.architecture),
            graph_hash=request.graph_hash,
            training=config.training,
            search_seed=config.seed,
            threads=request.resources.threads,
            dataset=config.dataset,
            data_root=None if self._options.data_root is None else str(self._options.data_root),
            cache_dir=str(self._files.cache),
            input_size=config.input_size,
            train_limit=config.train_limit,
            shape=dataset.shape,
            fingerprint=dataset.fingerprint,
            split_fingerprint=dataset.split_fingerprint,
            totals=dataset.counts.validation if is_training else dataset.counts.test,
            epochs_recorded=request.epochs_recorded,
            best_epoch=request.best_epoch,
            checkpoint_dir=str(self._files.checkpoints(key.search_id, key.child_id)),
            weights_path=str(self._files.weights(key.search_id, key.child_id)),
            weights_sha256=request.weights_sha256,
            epoch_seconds=self._options.epoch_seconds,
        )
