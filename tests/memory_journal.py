# SPDX-License-Identifier: Apache-2.0
"""A journal without a disk, for tests of everything above it; it lasts as long as the object."""

from __future__ import annotations

from collections.abc import Sequence

from server.journal.base import Head, JournalClosedError, Record, SequenceConflictError, require_range
from server.journal.chain import GENESIS, link


class MemoryJournal:
    """Implements ``Journal``; no method waits for anything, so none can be interrupted."""

    def __init__(self) -> None:
        self._searches: dict[str, list[Record]] = {}
        self._position = 0
        self._chain = GENESIS
        self._is_closed = False

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        """See ``Journal.append``."""
        self._require_open()
        search_id.encode()
        head = len(self._searches.get(search_id, ()))
        if expected_sequence != head:
            raise SequenceConflictError(search_id, expected_sequence, head)
        if not payloads:
            return ()
        records = tuple(
            self._link(search_id, sequence, payload) for sequence, payload in enumerate(payloads, start=head + 1)
        )
        self._searches.setdefault(search_id, []).extend(records)
        return records

    async def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        """See ``Journal.read``."""
        self._require_open()
        require_range(after_sequence, limit)
        return tuple(self._searches.get(search_id, ())[after_sequence : after_sequence + limit])

    async def heads(self) -> tuple[Head, ...]:
        """See ``Journal.heads``."""
        self._require_open()
        return tuple(Head(search_id=search_id, sequence=len(records)) for search_id, records in self._searches.items())

    async def close(self) -> None:
        """See ``Journal.close``."""
        self._is_closed = True

    def _require_open(self) -> None:
        if self._is_closed:
            raise JournalClosedError

    def _link(self, search_id: str, sequence: int, payload: bytes) -> Record:
        self._position += 1
        self._chain = link(
            self._chain, position=self._position, search_id=search_id, sequence=sequence, payload=payload
        )
        return Record(search_id=search_id, sequence=sequence, payload=payload, chain=self._chain)
