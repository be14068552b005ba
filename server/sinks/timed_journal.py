# SPDX-License-Identifier: Apache-2.0
"""Wraps a journal and measures how long it takes until events are durable."""

from __future__ import annotations

import time
from collections.abc import Sequence

from server.journal.base import Head, Journal, JournalError, Record, SequenceConflictError
from server.sinks.metrics import ServiceMetrics


class TimedJournal:
    """Implements ``Journal``."""

    def __init__(self, journal: Journal, metrics: ServiceMetrics) -> None:
        self._journal = journal
        self._metrics = metrics

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        """See ``Journal.append``."""
        start = time.perf_counter()
        try:
            records = await self._journal.append(search_id, expected_sequence, payloads)
        except SequenceConflictError:
            raise  # somebody was faster; nothing is wrong with the journal
        except JournalError:
            self._metrics.append_errors.inc()
            raise
        self._metrics.append_seconds.observe(time.perf_counter() - start)
        self._metrics.events.inc(len(records))
        return records

    async def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        """See ``Journal.read``."""
        return await self._journal.read(search_id, after_sequence, limit)

    async def heads(self) -> tuple[Head, ...]:
        """See ``Journal.heads``."""
        return await self._journal.heads()

    async def close(self) -> None:
        """See ``Journal.close``."""
        await self._journal.close()
