# SPDX-License-Identifier: Apache-2.0
"""The composition root: the only place that knows every concrete class. It never loads torch."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from server.config import Settings
from server.crash_points import reach
from server.engine import Clock, Registry
from server.engine.admission import Admission, default_memory_limit_bytes, default_threads
from server.executor.base import Executor
from server.executor.fake import FakeExecutor
from server.executor.local import LocalExecutor, WorkerOptions
from server.executor.preparation import DataPreparation
from server.files import StateFiles
from server.hub import Hub
from server.journal.base import Journal
from server.journal.sqlite import SqliteJournal
from server.listening import bind
from server.rpc.activity import Activity
from server.rpc.dispatch import make_handler
from server.rpc.servicer import SERVICE, SearchServicer
from server.sinks.logs import log_fact

LIVENESS = "liveness"
"""Health service that says only that the process answers."""

_GRACE_SECONDS = 1.0
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second server binds the same port without an error
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

Duty = Callable[[Registry, Hub], Coroutine[Any, Any, None]]
"""What a server does besides answering; the server ends with it."""

log = structlog.get_logger("nas.server")


class App:
    """One server: journal, engines, executor and API, wired together."""

    def __init__(self, settings: Settings, duty: Duty | None = None) -> None:
        """Take the settings, and what the server is there for if it does not serve until it is stopped."""
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

    async def _serve(self, journal: SqliteJournal) -> None:
        files = StateFiles(self._settings.state_dir)
        hub = Hub(journal)
        preparation = self._preparation(files)
        registry = self._registry(journal, hub, files, preparation)
        server = grpc.aio.server(options=_OPTIONS)
        servicer = SearchServicer(
            registry=registry, hub=hub, files=files, preparation=preparation, version=version("seib-nas")
        )
        activity = Activity()
        server.add_generic_rpc_handlers((make_handler(SERVICE, servicer, activity),))
        checks = _add_standard_services(server, with_reflection=True)
        address = bind(server, self._settings.listen)
        reach("serve.before_recovery")
        await registry.recover()
        await server.start()
        reach("serve.started")
        for service in ("", SERVICE.full_name, LIVENESS):
            await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._announce(address, files)
        async with self._on_duty(registry, hub):
            await self._wait_for_the_end(registry, activity)
        log.info("server_stopping")
        reach("stop.begun")
        await checks.enter_graceful_shutdown()
        hub.close()
        await server.stop(_GRACE_SECONDS)
        reach("stop.deaf")
        await registry.close()
        files.address.unlink(missing_ok=True)

    def _registry(self, journal: Journal, hub: Hub, files: StateFiles, preparation: DataPreparation) -> Registry:
        return Registry(
            journal=journal,
            hub=hub,
            executor=self._executor(files),
            files=files,
            admission=self._admission(preparation),
            clock=Clock(),
            sinks=(log_fact,),
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

    def _executor(self, files: StateFiles) -> Executor:
        settings = self._settings
        if settings.executor == "fake":
            return FakeExecutor(slots=settings.workers, epoch_seconds=settings.fake_epoch_seconds)
        options = WorkerOptions(
            trainer=settings.trainer,
            data_root=settings.data_root,
            any_path=settings.any_path,
            epoch_seconds=settings.fake_epoch_seconds,
            progress_seconds=settings.progress_timeout,
        )
        return LocalExecutor(slots=settings.workers, files=files, options=options)

    def _admission(self, preparation: DataPreparation) -> Admission:
        workers = self._settings.workers
        return Admission(
            preparation=preparation,
            threads=default_threads(workers),
            memory_limit_bytes=default_memory_limit_bytes(workers),
            software=f"seib-nas {version('seib-nas')}",
        )

    @contextlib.asynccontextmanager
    async def _on_duty(self, registry: Registry, hub: Hub) -> AsyncIterator[None]:
        """Do the duty, if there is one, in a ``with`` block."""
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

    def _announce(self, address: str, files: StateFiles) -> None:
        """Say where the server is, now that it is SERVING."""
        settings = self._settings
        if settings.data_root is None or not settings.data_root.is_dir():
            log.warning("data_root_missing", hint="only data sets that ship with the package can be used")
        write_atomically(files.address, address + "\n")
        if settings.port_file is not None:
            write_atomically(settings.port_file, address + "\n")
        log.info("server_serving", address=address, executor=settings.executor, workers=settings.workers)

    def _end(self, error: BaseException) -> None:
        """Stop because going on could lose something."""
        if self._fatal is None:
            self._fatal = error
            log.error("server_failed", error=type(error).__name__, detail=str(error))
        self._stop.set()


def _add_standard_services(server: grpc.aio.Server, *, with_reflection: bool) -> health.aio.HealthServicer:
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if with_reflection:
        names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return checks


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")  # the same name each time: what a killed server left is reused
    temporary.write_text(text)
    reach("port_file.before_rename")
    temporary.replace(path)
    reach("port_file.after_rename")
