# SPDX-License-Identifier: Apache-2.0
"""A real server that is started many times on one state folder, and a way to find all its processes after a kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from nas.api.v1.search_service_pb2_grpc import SearchServiceStub

ORPHAN_SECONDS = 2.0
"""How long a process may outlive its server."""

_LIFE = "CHAOS_LIFE"
_POLL_SECONDS = 0.004
_DEADLINE_SECONDS = 30.0


async def until(condition: Any, what: str, seconds: float = _DEADLINE_SECONDS) -> Any:
    """Return the first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(_POLL_SECONDS)
    return value


def processes_of(life: str) -> set[int]:
    """Living processes that a server of this life has started, and the server itself."""
    mark = f"{_LIFE}={life}".encode()
    found = set()
    for task in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (task / "environ").read_bytes().split(b"\0"):
                found.add(int(task.name))
        except OSError:  # gone, or not ours
            continue
    return found


class ChaosServer:
    """One state folder and one server after the other.

    Attributes:
        folder: holds the state folder, the log and the port file.
        restart_seconds: from each spawn to its port file, of the lives that got that far.
        orphan_seconds: how long the last process of each killed life went on.
        serving: set while a server is there to be called.
        address: where the last server that served listens.
    """

    def __init__(self, folder: Path, *options: str, epoch_seconds: float = 0.0) -> None:
        self.folder = folder
        self.restart_seconds: list[float] = []
        self.orphan_seconds: list[float] = []
        self.serving = asyncio.Event()
        self.address = ""
        self._options = options
        self._epoch_seconds = epoch_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lives = 0
        self._is_asked_to_stop = False
        self._born = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def pid(self) -> int:
        """Process id of the living server."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What all servers of this folder have written."""
        return (self.folder / "server.log").read_text()

    @property
    def has_died(self) -> bool:
        """Whether the process has ended without being told to by ``kill`` or ``stop``."""
        return self._process is not None and self._process.poll() is not None

    @property
    def life(self) -> str:
        """Tells this life's processes from all others on the machine."""
        return f"{self.folder}#{self._lives}"

    @property
    def _port_file(self) -> Path:
        return self.folder / "address"

    def spawn(self, **environment: str) -> None:
        """Begin a life; ``serving`` is set once it serves."""
        assert self._process is None
        self._lives += 1
        self._is_asked_to_stop = False
        self._port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "server", "serve", "--state-dir", str(self.state_dir)]
        command += ["--listen", "127.0.0.1:0", "--port-file", str(self._port_file), *self._options]
        environment |= {_LIFE: self.life, "NAS_FAKE_EPOCH_SECONDS": str(self._epoch_seconds), "OMP_NUM_THREADS": "1"}
        self._born = time.monotonic()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
        self._follow(self._watch_birth(self._process, self._born))

    async def start(self, **environment: str) -> None:
        """Begin a life and wait until it serves."""
        self.spawn(**environment)
        await until(lambda: self.serving.is_set() or self.has_died, "the server to serve")
        assert not self.has_died, self.log[-2000:]

    def workers(self) -> list[int]:
        """Process ids of everything that the living server has started."""
        return sorted(processes_of(self.life) - {self.pid})

    def kill(self, *others: int) -> None:
        """Kill -9, at once with some of its workers."""
        assert self._process is not None
        for pid in (self._process.pid, *others):
            strike(pid)
        self.bury()

    def bury(self) -> int:
        """Take note of a server that has been killed, or has killed itself; returns its exit status."""
        assert self._process is not None
        status = self._process.wait()
        self._process = None
        self.serving.clear()
        self._follow(self._watch_orphans(self.life))
        return status

    def terminate(self) -> None:
        """SIGTERM."""
        assert self._process is not None
        self._is_asked_to_stop = True
        self._process.send_signal(signal.SIGTERM)

    async def guard(self) -> None:
        """Raise as soon as a server dies that no test has killed or stopped; never returns."""
        await until(lambda: self.has_died and not self._is_asked_to_stop, "the server to die", float("inf"))
        raise AssertionError(f"the server died by itself: {self.log[-2000:]}")

    async def stop(self) -> int:
        """SIGTERM; returns the exit status once all that was killed before has been accounted for."""
        self.terminate()
        await until(lambda: self.has_died, "the server to stop")
        await asyncio.gather(*self._tasks)
        return self.bury()

    def warm_from(self, other: ChaosServer) -> None:
        """Take over the prepared data of another server, so that starting a search takes less time than dying does."""
        shutil.copytree(other.state_dir / "cache", self.state_dir / "cache")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        """A stub of its own connection to whichever server is next to serve."""
        await self.serving.wait()
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield SearchServiceStub(channel)

    async def close(self) -> None:
        """End every process that is left and close every connection."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise failures[0]

    def _follow(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)

    async def _watch_birth(self, process: subprocess.Popen[bytes], born: float) -> None:
        while self._process is process and process.poll() is None:
            if self._port_file.exists():
                self.restart_seconds.append(time.monotonic() - born)
                self.address = self._port_file.read_text().strip()
                self.serving.set()
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _watch_orphans(self, life: str) -> None:
        begin = time.monotonic()
        await until(lambda: not processes_of(life), f"the processes of {life} to leave", 5 * ORPHAN_SECONDS)
        self.orphan_seconds.append(time.monotonic() - begin)


def strike(pid: int) -> bool:
    """SIGKILL; returns whether the process was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
