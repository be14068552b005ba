# SPDX-License-Identifier: Apache-2.0
"""Who is talking to the server: calls in progress, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnEnd = Callable[[str, str, float], None]
"""Told of each call that has ended: its method, the name of its status, and how many seconds it took."""


class Activity:
    """Calls in progress and the end of the last one."""

    def __init__(self, on_end: OnEnd = lambda _method, _code, _seconds: None) -> None:
        """Take who is told of each end; it must not raise."""
        self.on_end = on_end
        self._calls = 0
        self._last = time.monotonic()

    @property
    def calls(self) -> int:
        """How many calls are in progress."""
        return self._calls

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call while it lasts."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._last = time.monotonic()

    def idle_seconds(self) -> float:
        """Time since the last call ended; 0 while one is in progress."""
        return 0.0 if self._calls else time.monotonic() - self._last
