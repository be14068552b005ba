# SPDX-License-Identifier: Apache-2.0
"""Whether anybody is talking to the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Calls in progress and the end of the last one."""

    def __init__(self) -> None:
        self._calls = 0
        self._last = time.monotonic()

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
