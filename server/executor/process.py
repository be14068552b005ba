# SPDX-License-Identifier: Apache-2.0
"""One worker process: exec'd, in its own session, dead when the server is, and heard line by line.

The worker's standard input stays open as long as the server lives; when it ends, the worker exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from server.codec.lines import MAX_LINE_BYTES, STOP, LineError, one_line
from server.executor.workers import KILL_GRACE_SECONDS

WORKER = (sys.executable, "-m", "server.worker")
"""The program of a worker; it is given ``--trainer``."""

_TAIL_BYTES = 4096
_LAST_WORDS_CHARACTERS = 200

# glibc gives freed tensors back to the kernel and faults them in again, page by page (docs/benchmarks.md).
_MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}


class WorkerProcess:
    """A running worker, before or after it was given its request."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._memory_kills = count_memory_kills()

    @classmethod
    async def spawn(cls, *command: str, log: Path, environment: Mapping[str, str] | None = None) -> WorkerProcess:
        """Start a worker whose standard error goes to ``log``.

        Args:
            command: the program and its arguments.
            log: its folder is made if need be.
            environment: variables that replace inherited ones.

        Raises:
            OSError: no process or no log file can be made.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(environment or {}), **_MALLOC, "NAS_WORKER_PARENT": str(os.getpid())},
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
        """Whether the process still runs, as the kernel knows it: the event loop hears of an end a little later."""
        if self._process.returncode is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def move_log(self, target: Path) -> None:
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

    def ask_to_stop(self) -> None:
        """Ask for an outcome soon, after the request was sent; one that is gone does not hear it."""
        assert self._process.stdin is not None  # noqa: S101 - spawn asked for a pipe
        self._process.stdin.write(STOP)

    async def lines(self, patience_seconds: float | None) -> AsyncIterator[bytes]:
        """Yield the worker's lines until it closes its output; an unfinished last line, as after a kill, is left out.

        Args:
            patience_seconds: longest wait for a line; None to wait for ever.

        Raises:
            TimeoutError: it has said nothing for that long.
            LineError: a line is longer than ``MAX_LINE_BYTES``.
        """
        assert self._process.stdout is not None  # noqa: S101 - spawn asked for a pipe
        while True:
            try:
                async with asyncio.timeout(patience_seconds):
                    line = await self._process.stdout.readline()
            except ValueError as error:
                raise LineError(f"a line of the worker is longer than {MAX_LINE_BYTES >> 20} MiB") from error
            if not line.endswith(b"\n"):
                return
            yield line

    async def wait(self) -> int:
        """Return the exit status once the process has ended."""
        return await self._process.wait()

    async def leave(self, seconds: float) -> int | None:
        """Wait for the process to end by itself, and kill it if it does not.

        Returns:
            The exit status, where a negative number names the signal; None if it had to be killed.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self.wait()
        except TimeoutError:
            await self.reap()
            return None

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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_GRACE_SECONDS):
                await self.wait()

    async def discard(self) -> None:
        """End a worker that was never given a request, and delete its log."""
        await self.reap()
        self._log.unlink(missing_ok=True)

    def has_memory_run_out(self) -> bool:
        """Whether the kernel has killed any process for want of memory since the worker was started."""
        return count_memory_kills() > self._memory_kills

    def cause(self) -> str:
        """Return an empty text: a process of this machine does not go away together with its machine."""
        return ""

    def last_words(self) -> str:
        """The last line of the log, cut down to what fits into an event."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                tail = log.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        return one_line(lines[-1], _LAST_WORDS_CHARACTERS) if lines else ""


def count_memory_kills() -> int:
    """Return how many processes the kernel has killed for want of memory; 0 where it does not say."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
