# SPDX-License-Identifier: Apache-2.0
"""Limits of what one caller may ask for, so that an endless loop of one does not shut out the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from server.rpc.errors import QuotaError

_MINUTE = 60.0


@dataclass(slots=True, kw_only=True)
class Quotas:
    """Counts for each principal; all callers without a name count as one.

    Attributes:
        max_streams: watches, exports and logs that a principal may have open at the same time.
        max_starts: calls of StartSearch per minute, plans included; up to one minute's worth may come at once.
        monotonic: a clock in seconds that never goes back.
    """

    max_streams: int = 1000
    max_starts: int = 600
    monotonic: Callable[[], float] = time.monotonic
    _streams: Counter[str] = field(default_factory=Counter)
    _starts: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def stream(self, principal: str) -> Iterator[None]:
        """Count a stream while it lasts.

        Raises:
            QuotaError: the caller has as many as one may have.
        """
        if self._streams[principal] >= self.max_streams:
            raise QuotaError(f"{self.max_streams} streams of one caller are open already; close one, then try again")
        self._streams[principal] += 1
        try:
            yield
        finally:
            self._streams[principal] -= 1
            if not self._streams[principal]:
                del self._streams[principal]

    def start(self, principal: str) -> None:
        """Count a start.

        Raises:
            QuotaError: the caller has used up this minute's.
        """
        now = self.monotonic()
        left, since = self._starts.get(principal, (float(self.max_starts), now))
        left = min(self.max_starts, left + (now - since) * self.max_starts / _MINUTE)
        if left < 1:
            raise QuotaError(
                f"more than {self.max_starts} starts per minute by one caller; wait a little, then try again"
            )
        self._starts[principal] = (left - 1, now)
