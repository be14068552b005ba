# SPDX-License-Identifier: Apache-2.0
"""What an executor needs of a worker, a process that reads and writes lines, and of the place where workers run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

KILL_GRACE_SECONDS = 5.0
"""How long a killed process may take to end before it is given up; one in an uninterruptible wait never ends."""


class PlaceError(Exception):
    """Workers cannot run where they are configured to; the message is one sentence."""


class Worker(Protocol):
    """A running worker, before or after it was given its request."""

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs, as far as is known here."""
        ...

    async def move_log(self, target: Path) -> None:
        """Rename the log; the process goes on writing to it.

        Raises:
            OSError: the log cannot have that path.
        """
        ...

    async def send(self, line: bytes) -> None:
        """Hand over the request.

        Raises:
            ConnectionError: the worker is gone.
            OSError: the worker could not be started.
        """
        ...

    def ask_to_stop(self) -> None:
        """Ask for an outcome soon, after the request was sent; one that is gone does not hear it."""
        ...

    def lines(self, patience_seconds: float) -> AsyncIterator[bytes]:
        """Yield the worker's lines until it closes its output; an unfinished last line, as after a kill, is left out.

        Raises:
            TimeoutError: it has said nothing for that long.
            LineError: a line is longer than ``MAX_LINE_BYTES``.
        """
        ...

    async def leave(self, seconds: float) -> int | None:
        """Wait for the process to end by itself, and kill it if it does not.

        Returns:
            The exit status, where a negative number names the signal; None if it had to be killed.
        """
        ...

    def kill(self) -> None:
        """Kill the worker and whatever it started."""
        ...

    async def discard(self) -> None:
        """End a worker that was never given a request, and delete its log."""
        ...

    def has_memory_run_out(self) -> bool:
        """Whether the kernel of its machine has killed any process for want of memory since the worker was started."""
        ...

    def cause(self) -> str:
        """What took the worker away together with its machine, in one sentence; empty if nothing is known of that."""
        ...

    def last_words(self) -> str:
        """The last line of the log, cut down to what fits into an event."""
        ...


class Workers(Protocol):
    """Where workers run."""

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        ...

    async def spawn(self, log: Path) -> Worker:
        """Start a worker whose standard error goes to ``log``.

        Raises:
            OSError: no process or no log file can be made.
        """
        ...

    async def close(self) -> None:
        """Disconnect from the place, after the last worker has ended."""
        ...
