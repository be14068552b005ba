# SPDX-License-Identifier: Apache-2.0
"""The composition root: the only place that knows every concrete class. It never loads torch."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from server.config import Settings
from server.crash_points import reach
from server.engine import Clock, Registry
from server.engine.admission import Admission, default_memory_limit_bytes, default_threads
from server.executor.base import Executor
from server.executor.fake import FakeExecutor
from server.executor.instructions import WorkerOptions
from server.executor.local import local_executor
from server.executor.preparation import DataPreparation
from server.files import StateFiles
from server.front import Front
from server.hub import Hub
from server.journal.base import Journal
from server.journal.sqlite import SqliteJournal
from server.rpc.activity import Activity
from server.rpc.dispatch import Desk, make_handler
from server.rpc.quotas import Quotas
from server.rpc.servicer import SERVICE, SearchServicer
from server.sinks.fact_log import FactLog
from server.sinks.gpus import Gpus
from server.sinks.metrics import Metrics
from server.sinks.readings import count_recovered, render
from server.sinks.tally import Tally
from server.sinks.timed_journal import TimedJournal

Duty = Callable[[Registry, Hub], Coroutine[Any, Any, None]]
"""Work that a server does besides answering calls; the server ends when it is done."""

log = structlog.get_logger("nas.server")


class App:
    """One server: journal, engines, executor and API, wired together."""

    def __init__(self, settings: Settings, duty: Duty | None = None) -> None:
        """Take the settings, and a duty; without one the server serves until it is stopped."""
        self._settings = settings
        self._duty = duty
        self._stop = asyncio.Event()
        self._fatal: BaseException | None = None

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT, the end of the duty or a fatal error.

        Raises:
            Exception: whatever ended the duty.
            JournalError: the state folder is locked, damaged or from a newer version, or its disk failed.
            ListenError: the address is taken.
            PlaceError: workers cannot run where they were to.
            UnknownEventError, IllegalEventError: the journal holds what this version does not understand.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        journal = await SqliteJournal.open(self._settings.state_dir)
        try:
            await self._serve(journal)
        finally:
            await journal.close()
        if self._fatal is not None:
            raise self._fatal

    async def _serve(self, bare_journal: Journal) -> None:
        files = StateFiles(self._settings.state_dir)
        gpus = Gpus.find()
        metrics = Metrics(SERVICE, gpus.names)
        journal = TimedJournal(bare_journal, metrics.service)
        hub = Hub(journal)
        preparation = self._preparation(files)
        registry = self._registry(journal, hub, files, preparation, metrics)
        activity = Activity(metrics.service.note_call)
        metrics.service.calls_in_progress.set_function(lambda: activity.calls)
        servicer = SearchServicer(
            registry=registry, hub=hub, files=files, preparation=preparation, version=version("seib-nas")
        )
        settings = self._settings
        quotas = Quotas(max_streams=settings.max_streams, max_starts=settings.max_starts)
        handler = make_handler(SERVICE, servicer, Desk(activity=activity, quotas=quotas))
        front = Front(settings, handler, activity, lambda: render(metrics, registry, hub, files, gpus))
        try:
            await front.reserve()
            reach("serve.before_recovery")
            await registry.recover()
            count_recovered(metrics, registry)
            await front.open()
            reach("serve.started")
            self._announce(front.places, files)
            async with self._on_duty(registry, hub):
                await self._wait_for_the_end(registry, activity)
            log.info("server_stopping")
            reach("stop.begun")
            await front.refuse()
            hub.close()
            await front.close()
            reach("stop.deaf")
            await registry.close()
            files.address.unlink(missing_ok=True)
        finally:
            await front.leave()

    def _registry(
        self, journal: Journal, hub: Hub, files: StateFiles, preparation: DataPreparation, metrics: Metrics
    ) -> Registry:
        return Registry(
            journal=journal,
            hub=hub,
            executor=self._executor(files, metrics),
            files=files,
            admission=self._admission(preparation),
            clock=Clock(),
            sinks=(FactLog(),),
            tallies=(Tally(metrics),),
            on_fatal=self._end,
        )

    def _preparation(self, files: StateFiles) -> DataPreparation:
        settings = self._settings
        return DataPreparation(
            data_root=settings.data_root,
            cache_dir=files.cache,
            may_download=settings.download,
            any_path=settings.any_path,
        )

    def _executor(self, files: StateFiles, metrics: Metrics) -> Executor:
        settings = self._settings
        if settings.executor == "fake":
            return FakeExecutor(slots=settings.workers, epoch_seconds=settings.fake_epoch_seconds)
        options = WorkerOptions(
            trainer=settings.trainer,
            data_root=settings.data_root,
            any_path=settings.any_path,
            epoch_seconds=settings.fake_epoch_seconds,
            progress_seconds=settings.progress_timeout,
            on_checkpoint=metrics.training.checkpoint_seconds.observe,
        )
        if settings.executor == "ray":
            from server.executor.ray import ray_executor  # only here: Ray is an extra, and takes seconds
            from server.executor.ray_worker import Demand

            return ray_executor(
                slots=settings.workers,
                files=files,
                options=options,
                address=settings.ray_address,
                demand=Demand(cpus=settings.ray_cpus, gpus=int(settings.ray_gpus)),
            )
        return local_executor(slots=settings.workers, files=files, options=options)

    def _admission(self, preparation: DataPreparation) -> Admission:
        settings, workers = self._settings, self._settings.workers
        return Admission(
            preparation=preparation,
            threads=settings.ray_cpus if settings.executor == "ray" else default_threads(workers),
            memory_limit_bytes=default_memory_limit_bytes(workers),
            software=f"seib-nas {version('seib-nas')}",
        )

    @contextlib.asynccontextmanager
    async def _on_duty(self, registry: Registry, hub: Hub) -> AsyncIterator[None]:
        """Run the duty, if there is one, as a task for the length of the block."""
        if self._duty is None:
            yield
            return
        task = asyncio.create_task(self._duty(registry, hub), name="duty")
        task.add_done_callback(self._duty_done)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _duty_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._fatal is None:
            self._fatal = task.exception()
        self._stop.set()

    async def _wait_for_the_end(self, registry: Registry, activity: Activity) -> None:
        """Return when the server has been asked to stop, or when nobody has needed it for the idle timeout."""
        patience = self._settings.idle_timeout
        if not patience:
            await self._stop.wait()
        while not self._stop.is_set():
            idle = 0.0 if registry.has_running() else activity.idle_seconds()
            if idle >= patience:
                log.info("server_idle", seconds=round(idle))
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.05, patience - idle))

    def _announce(self, places: Mapping[str, str], files: StateFiles) -> None:
        """Write down the address of the server, which is SERVING by now."""
        settings = self._settings
        if settings.data_root is None or not settings.data_root.is_dir():
            log.warning("data_root_missing", hint="only data sets that ship with the package can be used")
        log.info("server_serving", **places, executor=settings.executor, workers=settings.workers)
        write_atomically(files.address, places["address"] + "\n")
        if settings.port_file is not None:  # last: whoever waits for it finds all the rest in the log
            write_atomically(settings.port_file, places["address"] + "\n")

    def _end(self, error: BaseException) -> None:
        """Stop the server, because an event could be lost otherwise."""
        if self._fatal is None:
            self._fatal = error
            log.error("server_failed", error=type(error).__name__, detail=str(error))
        self._stop.set()


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")  # the same name each time: what a killed server left is reused
    temporary.write_text(text)
    reach("port_file.before_rename")
    temporary.replace(path)
    reach("port_file.after_rename")
