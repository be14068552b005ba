# SPDX-License-Identifier: Apache-2.0
"""A process on a terminal of its own, and what a person would see there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from typing import Self

from real_server import wait_for

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME = "\x1b[H"
_UNUSUAL = ("NO_COLOR", "COLUMNS", "LINES")
"""Variables that whoever runs the tests may have set and a person at a terminal has not."""
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs nas-client with a pseudo-terminal for its input, output and errors; a context manager."""

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 24, environment: Mapping[str, str] | None = None
    ) -> None:
        usual = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}
        self._ours, theirs = os.openpty()
        self._written = b""
        self._is_closed = threading.Event()
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "client", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**usual, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(environment or {})},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.finish()
        self.close()

    @property
    def written(self) -> str:
        """Everything so far, with the control sequences."""
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        """Everything so far, without them."""
        return _SEQUENCE.sub("", self.written)

    @property
    def frame(self) -> list[str]:
        """The lines of the last whole frame of the live view in the present size; empty before the first."""
        columns, lines = self._size
        frames = [_SEQUENCE.sub("", frame).split("\r\n") for frame in self.written.split(LEAVE_SCREEN)[0].split(HOME)]
        whole = [frame for frame in frames if len(frame) == lines and all(len(line) == columns for line in frame)]
        return [line.rstrip() for line in whole[-1]] if whole else []

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, of which the process must be told."""
        self._size = (columns, lines)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for_frame(self, piece: str) -> list[str]:
        """Wait until a piece of text stands in a frame; returns its lines."""
        wait_for(lambda: piece in "\n".join(self.frame) or self._has_ended_without(piece), repr(piece))
        return self.frame

    def wait_for(self, piece: str) -> None:
        """Wait until a piece of text has been shown."""
        wait_for(lambda: piece in self.text or self._has_ended_without(piece), repr(piece))

    def close(self) -> None:
        """Close the window; closing twice changes nothing."""
        self._is_closed.set()
        self._reader.join()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def finish(self) -> int:
        """Wait for the end; returns the exit status."""
        status = self.process.wait(timeout=60)
        self._reader.join()
        return status

    def _has_ended_without(self, piece: str) -> bool:
        if self.process.poll() is not None:
            self._reader.join()  # there may be more to read than was looked at
            assert piece in self.text, self.text
        return False

    def _read(self) -> None:
        # The other end closes with the process; Linux calls that an input/output error.
        with contextlib.suppress(OSError):
            while not self._is_closed.is_set():
                if select.select([self._ours], [], [], 0.05)[0]:
                    self._written += os.read(self._ours, 65_536)
