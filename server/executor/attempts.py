# SPDX-License-Identifier: Apache-2.0
"""Runs each attempt in a worker process of its own, and keeps one more process warm while a search runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass

from nas.search import commands
from nas.search.reasons import LostReason
from server.codec.lines import PULSE, STOP, LineError, decode_checkpoint, decode_report, encode_request
from server.crash_points import reach
from server.executor.base import OUTCOMES, AttemptKey, AttemptRequest, OnReport
from server.executor.instructions import WorkerOptions, instruct
from server.executor.workers import KILL_GRACE_SECONDS, Worker, Workers
from server.files import StateFiles

_WANTS = (LostReason.OUT_OF_MEMORY, LostReason.DISK_FULL)
"""Reasons for the loss of an attempt that only its worker can know."""


@dataclass(slots=True)
class _Attempt:
    """An attempt and its worker, once there is one."""

    on_report: OnReport
    is_cancelled: bool = False
    is_preempted: bool = False
    worker: Worker | None = None

    def cancel(self) -> None:
        """Kill the worker, now or as soon as there is one."""
        self.is_cancelled = True
        if self.worker is not None:
            self.worker.kill()

    def preempt(self) -> None:
        """Ask the worker once to stop, now or together with its request."""
        if self.worker is not None and not self.is_preempted:
            self.worker.ask_to_stop()
        self.is_preempted = True

    def require_own(self, report: commands.Report) -> commands.Report:
        """Return a report, but refuse a loss for a reason that a worker cannot know: some of those count as no try.

        Raises:
            LineError: the report is such a loss.
        """
        known = (*_WANTS, LostReason.PREEMPTED) if self.is_preempted else _WANTS
        if isinstance(report, commands.ReportLost) and report.reason not in known:
            raise LineError(f"the worker says that it is lost as {report.reason.value}, which is not its to say")
        return report


class ProcessExecutor:
    """Follows the contract of ``Executor`` with worker processes."""

    def __init__(self, *, slots: int, files: StateFiles, options: WorkerOptions, workers: Workers) -> None:
        self._slots = slots
        self._files = files
        self._options = options
        self._workers = workers
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._tasks: dict[asyncio.Task[None], _Attempt] = {}  # until the worker has ended
        self._is_idle = asyncio.Event()  # no attempt without an outcome
        self._spare: Worker | None = None
        self._spawn_count = 0

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        return self._workers.name

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
        self._is_idle.clear()
        task = asyncio.create_task(self._run(request, attempt), name=f"attempt {request.key}")
        self._tasks[task] = attempt
        task.add_done_callback(self._tasks.pop)

    async def cancel(self, key: AttemptKey) -> None:
        """Kill the worker; the attempt is lost as CANCELLED."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.cancel()

    async def interrupt(self, key: AttemptKey) -> None:
        """Ask the worker to stop at its next batch and to write a checkpoint."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.preempt()

    async def expect(self, attempts: int) -> None:
        """Keep one worker warm while launches are expected; if none can be started, the next launch reports it."""
        spare = self._spare
        if spare is not None and not (attempts and spare.is_alive):
            self._spare = None
            await spare.discard()
        if attempts and self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = await self._spawn()

    async def preempt(self) -> None:
        """Ask all workers to stop at their next batch and give them the time to write a checkpoint."""
        for attempt in self._attempts.values():
            attempt.preempt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.preempt_seconds):
                await self.expect(0)
                if self._attempts:
                    await self._is_idle.wait()

    async def close(self) -> None:
        """Kill all workers and wait for them; one that the kernel cannot end is given up after a while."""
        self._attempts.clear()
        for attempt in self._tasks.values():
            attempt.cancel()
        await self.expect(0)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=KILL_GRACE_SECONDS)
        await self._workers.close()

    async def _run(self, request: AttemptRequest, attempt: _Attempt) -> None:
        """Run an attempt until it has an outcome and its worker has ended."""
        key = request.key
        try:
            worker = attempt.worker = await self._take_worker(key)
        except OSError as error:
            self._lose(key, attempt, LostReason.WORKER_EXITED, f"no worker could be started: {error.strerror}")
            return
        if attempt.is_cancelled:
            worker.kill()
        try:
            reach("executor.before_request")
            await worker.send(
                encode_request(instruct(request, self._options, self._files)) + (STOP if attempt.is_preempted else b"")
            )
            reach("executor.requested")
            await self._listen(worker, key, attempt)
        except ConnectionError:
            pass  # the worker is gone; its exit status, read below, says why
        except TimeoutError:
            worker.kill()
            silence = f"no sign of progress for {self._options.progress_seconds:.0f} s"
            self._lose(key, attempt, LostReason.TIMED_OUT, silence)
        except OSError as error:
            worker.kill()
            self._lose(key, attempt, LostReason.WORKER_EXITED, f"no worker could be started: {error.strerror}")
        except LineError as error:
            worker.kill()
            self._lose(key, attempt, LostReason.PROTOCOL_VIOLATED, str(error))
        status = await worker.leave(self._options.leave_seconds)
        reach("executor.worker_left")
        self._lose(key, attempt, *_explain(worker, status))

    async def _listen(self, worker: Worker, key: AttemptKey, attempt: _Attempt) -> None:
        """Report what the worker says up to its outcome."""
        async for line in worker.lines(self._options.progress_seconds):
            if attempt.is_cancelled:
                return
            if (seconds := decode_checkpoint(line)) is not None:
                self._options.on_checkpoint(seconds)
            elif line != PULSE:
                self._report(key, attempt.require_own(decode_report(line, key.child_id, key.attempt)))
            if key not in self._attempts:
                return

    def _report(self, key: AttemptKey, report: commands.Report) -> None:
        attempt = self._attempts[key]
        if isinstance(report, OUTCOMES):
            del self._attempts[key]
            if not self._attempts:
                self._is_idle.set()
        attempt.on_report(key, report)

    def _lose(self, key: AttemptKey, attempt: _Attempt, reason: LostReason, detail: str) -> None:
        """Report that an attempt is lost, unless it is over."""
        if key not in self._attempts:
            return
        if attempt.is_cancelled:
            reason, detail = LostReason.CANCELLED, "cancelled"
        self._report(key, commands.ReportLost(child_id=key.child_id, attempt=key.attempt, reason=reason, detail=detail))

    async def _take_worker(self, key: AttemptKey) -> Worker:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.is_alive:
            await spare.discard()
            spare = None
        worker = spare or await self._spawn()
        try:
            await worker.move_log(self._files.log(key.search_id, key.child_id, key.attempt))
        except OSError:
            await worker.discard()
            raise
        return worker

    async def _spawn(self) -> Worker:
        reach("executor.before_spawn")
        self._spawn_count += 1
        log = self._files.root / "searches" / f"worker-{self._spawn_count}.log"
        return await self._workers.spawn(log)


def _explain(worker: Worker, status: int | None) -> tuple[LostReason, str]:
    """Say how a worker without an outcome ended; without a status it had to be killed."""
    if status is None:
        return LostReason.PROTOCOL_VIOLATED, "the worker closed its output without a result and did not leave"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        if -status == signal.SIGKILL and worker.has_memory_run_out():
            return LostReason.OUT_OF_MEMORY, "the kernel ended a process for want of memory while the worker ran"
        return LostReason.WORKER_SIGNALLED, worker.cause() or f"the worker was ended by {name}"
    words = worker.last_words()
    said = f": {words}" if words else ""
    return LostReason.WORKER_EXITED, f"the worker exited with status {status} without a result{said}"
