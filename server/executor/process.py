# SPDX-License-Identifier: Apache-2.0
"""One worker process: exec'd, in its own session, dead when the server is, and heard line by line.

The worker's standard input stays open as long as the server lives: its end is the sign to leave.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from server.codec.lines import MAX_LINE_BYTES

KILL_GRACE_SECONDS = 5.0
"""How long a killed process may take to be reaped before it is given up; one in an uninterruptible wait never is."""

# glibc gives freed tensors back to the kernel and faults them in again, page by page (docs/benchmarks.md).
_MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}


class WorkerProcess:
    """A running ``python -m server.worker``, before or after it was given its request."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def spawn(cls, *arguments: str, log: Path) -> WorkerProcess:
        """Start a worker whose standard error goes to ``log``.

        Raises:
            OSError: no process or no log file can be made.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "server.worker",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **_MALLOC, "NAS_WORKER_PARENT": str(os.getpid())},
                limit=MAX_LINE_BYTES,
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not been reaped."""
        return self._process.returncode is None

    def move_log(self, target: Path) -> None:
        """Rename the log; the process goes on writing to it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._log.replace(target)
        self._log = target

    async def send(self, line: bytes) -> None:
        """Hand over the request.

        Raises:
            ConnectionError: the worker is gone.
        """
        assert self._process.stdin is not None  # noqa: S101 - spawn asked for a pipe
        self._process.stdin.write(line)
        await self._process.stdin.drain()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield what the worker says until it says no more.

        Raises:
            ValueError: a line is longer than ``MAX_LINE_BYTES``.
        """
        assert self._process.stdout is not None  # noqa: S101 - spawn asked for a pipe
        while line := await self._process.stdout.readline():
            yield line

    async def wait(self) -> int:
        """Wait until the process is gone; a negative number names the signal."""
        return await self._process.wait()

    def kill(self) -> None:
        """Kill the worker and whatever it started."""
        if self.is_alive:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def reap(self) -> None:
        """Kill and wait, but not for ever."""
        self.kill()
        try:
            await asyncio.wait_for(self.wait(), KILL_GRACE_SECONDS)
        except TimeoutError:
            return

    async def discard(self) -> None:
        """Let a worker go that was never given a request; its log goes with it."""
        await self.reap()
        self._log.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The last line of the log, in one line of at most 200 characters."""
        try:
            tail = self._log.read_bytes()[-4096:].decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        return "".join(c if c.isprintable() else " " for c in lines[-1])[:200] if lines else ""
