# SPDX-License-Identifier: Apache-2.0
"""Compares the pending work of all searches with the running workers: launches, cancels, and deletes old files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from nas.search import commands
from nas.search.finishing import finishing_seconds, training_of
from nas.search.machine import Work, pending_work, running_attempts
from nas.search.reasons import AttemptKind, LostReason
from nas.search.retention import Retention, retained
from nas.search.state import Search, SearchState
from nas.shapes import checkpoint_bytes
from server.crash_points import reach
from server.engine.engine import Engine
from server.executor.base import AttemptKey, AttemptRequest, Executor, TrainedNet
from server.files import StateFiles
from server.journal.base import JournalError, JournalFullError

_LONGEST_WAIT_SECONDS = 3600.0
_DISK_CHECK_SECONDS = 2.0
_RESERVE_BYTES = 64 << 20
"""Disk space that no attempt may take, because the journal needs some."""

log = structlog.get_logger("nas.scheduler")


class Scheduler:
    """Shares the executor's slots among the searches in the order of their start."""

    def __init__(
        self,
        *,
        executor: Executor,
        files: StateFiles,
        engines: Callable[[], Sequence[Engine]],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._executor = executor
        self._files = files
        self._engines = engines
        self._on_fatal = on_fatal
        self._wake = asyncio.Event()
        self._launched: set[AttemptKey] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._pruned: dict[str, tuple[Search, Retention]] = {}

    @property
    def is_disk_full(self) -> bool:
        """Whether a search waits for disk space; all searches share the disk."""
        return any(engine.is_disk_full for engine in self._active())

    def is_queued(self, engine: Engine) -> bool:
        """Whether a search waits because all workers are busy with other searches."""
        if running_attempts(engine.search) or not _waiting(engine):
            return False
        return len(self._executor.running()) >= self._executor.slots

    def wake(self) -> None:
        """Have ``run`` reconcile soon, because something has changed."""
        self._wake.set()

    def queue_length(self) -> int:
        """Return how many attempts wait for a worker."""
        return sum(len(_waiting(engine)) for engine in self._active())

    async def resolve_orphans(self) -> None:
        """Report the attempts of an earlier server as lost; their workers died with it."""
        await self._report_lost(LostReason.SERVER_RESTARTED, "the server was restarted")

    async def run(self) -> None:
        """Reconcile after each change, at the end of a time budget and often while the disk is full; never returns."""
        while True:
            self._wake.clear()
            await self.reconcile()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: it forgets a cancellation that comes together with the event (python/cpython#86296).
                async with asyncio.timeout(self._seconds_to_next_look()):
                    await self._wake.wait()

    async def reconcile(self) -> None:
        """Launch, cancel and delete what the states of the searches ask for now."""
        for engine in self._active():
            if _remaining_seconds(engine) <= 0:
                await engine.submit(commands.ReachTimeBudget())
        for search_id in {key.search_id for key in self._executor.running()}:  # also of searches that have ended
            await self._cancel_unwanted(self._engine(search_id))
        while len(self._executor.running()) < self._executor.slots and (found := self._next_launch()):
            engine, work = found
            reach("launch.before_journal")
            await engine.submit(commands.LaunchAttempt(child_id=work.child_id))
            reach("launch.journaled")
            await self._launch(engine)
        await self._executor.expect(self.queue_length())
        for engine in self._engines():
            await self._prune(engine)

    async def close(self) -> None:
        """Journal all that was reported, then that the running attempts ended because the server was asked to stop.

        If the journal cannot take it, the next server finds these attempts as it would after a crash.
        """
        await asyncio.gather(*self._reports, return_exceptions=True)
        with contextlib.suppress(JournalError):
            await self._report_lost(LostReason.PREEMPTED, "the server was asked to stop")

    async def _report_lost(self, reason: LostReason, detail: str) -> None:
        for engine in self._engines():
            for work in running_attempts(engine.search):
                key = _key(engine, work)
                await engine.submit(
                    commands.ReportLost(child_id=key.child_id, attempt=key.attempt, reason=reason, detail=detail)
                )

    def _active(self) -> list[Engine]:
        return [engine for engine in self._engines() if not engine.search.state.is_terminal]

    def _engine(self, search_id: str) -> Engine:
        return next(engine for engine in self._engines() if engine.search_id == search_id)

    async def _cancel_unwanted(self, engine: Engine) -> None:
        wanted = {_key(engine, work) for work in pending_work(engine.search) if work.attempt is not None}
        for key in self._executor.running():
            if key.search_id == engine.search_id and key not in wanted:
                reach("cancel.before")
                if engine.search.state is SearchState.PAUSING:
                    await self._executor.interrupt(key)
                else:
                    await self._executor.cancel(key)
                reach("cancel.after")

    def _next_launch(self) -> tuple[Engine, Work] | None:
        """Return the next attempt to launch: of the oldest search with time left and disk space for it."""
        for engine in self._active():
            waiting = _waiting(engine) if _remaining_seconds(engine) > 0 else ()
            engine.lacks_disk_space = bool(waiting) and not self._has_disk_space(engine, waiting[0])
            if waiting and not engine.lacks_disk_space:
                return engine, waiting[0]
        return None

    def _has_disk_space(self, engine: Engine, work: Work) -> bool:
        """Whether the disk has space for the weights and checkpoints of an attempt."""
        search = engine.search
        needed = checkpoint_bytes(search.children[work.child_id].architecture, search.started.dataset.shape)
        return self._files.free_bytes() >= needed + _RESERVE_BYTES

    async def _launch(self, engine: Engine) -> None:
        """Start the attempt that has just been journaled."""
        for work in running_attempts(engine.search):
            key = _key(engine, work)
            if key not in self._launched:
                self._launched.add(key)
                await self._executor.launch(_request(engine, work, key), self._take_report)
                reach("launch.done")

    def _take_report(self, key: AttemptKey, report: commands.Report) -> None:
        engine = self._engine(key.search_id)
        reach("report.taken")
        task = asyncio.create_task(engine.submit(report), name=f"report of {key}")
        self._reports.add(task)
        task.add_done_callback(self._report_done)

    def _report_done(self, task: asyncio.Task[None]) -> None:
        reach("report.journaled")
        self._reports.discard(task)
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, JournalFullError):  # that one only while closing
            self._on_fatal(error)

    async def _prune(self, engine: Engine) -> None:
        """Delete the files that a search does not need any more, once per state."""
        search = engine.search
        last, last_retention = self._pruned.get(engine.search_id, (None, None))
        if last is search:  # as most are: what has ended costs nothing here
            return
        retention = retained(search)
        self._pruned[engine.search_id] = (search, retention)
        if last is not None and (last_retention, last.state) == (retention, search.state):
            return
        if search.state is SearchState.DELETED:
            await asyncio.to_thread(self._files.remove, engine.search_id)
            return
        reach("prune.before")
        await asyncio.to_thread(
            self._files.prune,
            engine.search_id,
            keep_weights=retention.weights,
            keep_checkpoints=retention.checkpoints,
        )
        reach("prune.after")

    def _seconds_to_next_look(self) -> float:
        remaining = [_remaining_seconds(engine) for engine in self._active() if running_attempts(engine.search)]
        longest = _DISK_CHECK_SECONDS if self.is_disk_full else _LONGEST_WAIT_SECONDS
        return max(0.0, min([longest, *remaining]))


def _remaining_seconds(engine: Engine) -> float:
    """Return the rest of the time budget in seconds, without what finishing will take.

    It is infinite without a budget and after the search has stopped.
    """
    search = engine.search
    budget = search.config.time_budget_seconds
    if not budget or search.stop is not None or search.is_out_of_time:
        return float("inf")
    return budget - engine.running_seconds - finishing_seconds(search)


def _waiting(engine: Engine) -> tuple[Work, ...]:
    return tuple(work for work in pending_work(engine.search) if work.attempt is None)


def _key(engine: Engine, work: Work) -> AttemptKey:
    assert work.attempt is not None, "work that was not launched has no key"  # noqa: S101
    return AttemptKey(search_id=engine.search_id, child_id=work.child_id, attempt=work.attempt)


def _request(engine: Engine, work: Work, key: AttemptKey) -> AttemptRequest:
    search = engine.search
    child = search.children[work.child_id]
    return AttemptRequest(
        key=key,
        kind=work.kind,
        architecture=child.architecture,
        graph_hash=child.graph_hash,
        config=search.config,
        training=training_of(search, work.child_id),
        dataset=search.started.dataset,
        resources=search.started.resources,
        epochs_recorded=len(child.epochs),
        best_epoch=child.best_epoch,
        weights_sha256=child.weights_sha256,
        others=tuple(
            TrainedNet(
                child_id=other.child_id,
                architecture=other.architecture,
                graph_hash=other.graph_hash,
                best_epoch=other.best_epoch,
                weights_sha256=other.weights_sha256,
            )
            for other in (search.rivals if work.kind is AttemptKind.TEST_EVALUATION else ())
        ),
    )
