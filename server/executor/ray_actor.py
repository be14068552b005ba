# SPDX-License-Identifier: Apache-2.0
"""One worker process on a node of a Ray cluster: the actor that owns it there. Ray loads this module on that node.

The worker is a child of the actor's process and dies with it, and Ray ends the actor when the server's process ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from server.executor.process import WORKER, WorkerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What an actor has to know to start its worker.

    Attributes:
        arguments: of the worker's program.
        program: None for the worker of the node's own Python.
        environment: variables of the server that a worker on its own machine would inherit.
        log: path of the worker's standard error.
        marks: path and content of files that the server has put into every folder that nodes share.
        version: of the server.
    """

    arguments: tuple[str, ...]
    program: tuple[str, ...] | None
    environment: Mapping[str, str]
    log: str
    marks: tuple[tuple[str, str], ...]
    version: str

    def fault(self) -> str:
        """Say why no worker of this server can run here; empty if one can."""
        node = socket.gethostname()
        if (here := version("seib-nas")) != self.version:
            return f"node {node} has seib-nas {here} and the server {self.version}; give them the same image"
        for path, content in self.marks:
            try:
                seen = Path(path).read_text()
            except OSError:
                seen = ""
            if seen != content:
                folder = Path(path).parent
                return f"node {node} does not see the server's {folder}; mount the same volume there on every node"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a worker has ended; see ``Worker`` for what each of these says."""

    status: int
    has_memory_run_out: bool = False
    last_words: str = ""
    cause: str = ""


class WorkerActor:
    """Owns a worker process; what goes wrong is returned, because an exception would be sent with its traceback."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._lines: AsyncIterator[bytes] | None = None
        self._is_done = asyncio.Event()  # starting, well or not

    async def start(self, orders: Orders) -> str:
        """Start the worker; returns what is in the way, empty if nothing is."""
        try:
            if fault := orders.fault():
                return fault
            command = (*(orders.program or WORKER), *orders.arguments)
            worker = await WorkerProcess.spawn(*command, log=Path(orders.log), environment=orders.environment)
            self._worker, self._lines = worker, worker.lines(None)
        except OSError as error:
            return str(error.strerror)
        finally:
            self._is_done.set()
        return ""

    async def move_log(self, target: str) -> str:
        """Rename the log; returns what is in the way, empty if nothing is."""
        await self._is_done.wait()
        if self._worker is None:
            return ""
        try:
            await self._worker.move_log(Path(target))
        except OSError as error:
            return str(error.strerror)
        return ""

    async def send(self, line: bytes) -> bool:
        """Hand over the request; returns whether the worker was there to take it."""
        assert self._worker is not None  # noqa: S101 - it was started
        try:
            await self._worker.send(line)
        except ConnectionError:
            return False
        return True

    async def ask_to_stop(self) -> None:
        """Ask for an outcome soon."""
        await self._is_done.wait()
        if self._worker is not None:
            self._worker.ask_to_stop()

    async def hear(self) -> bytes:
        """Return the next line, empty after the last one."""
        assert self._lines is not None  # noqa: S101 - it was started
        return await anext(self._lines, b"")

    async def wait(self) -> Ending:
        """Return how the worker has ended once it has."""
        assert self._worker is not None  # noqa: S101 - it was started
        status = await self._worker.wait()
        return Ending(
            status=status,
            has_memory_run_out=self._worker.has_memory_run_out(),
            last_words=self._worker.last_words(),
        )

    async def kill(self) -> None:
        """Kill the worker and whatever it started."""
        await self._is_done.wait()
        if self._worker is not None:
            self._worker.kill()
