# SPDX-License-Identifier: Apache-2.0
"""Hands published records to any number of watchers, none of whom can slow the engine, lose a record or cost memory.

A watcher is a position in the journal. Where it is close to the head it reads from the search's ring, the last few
published records, shared by all; where it is not, be it late or slow, it reads the journal in chunks. Nothing is queued
for it, so nothing overflows.

    HubError
    ├── SequenceAheadError    watch: from a sequence that does not exist yet
    ├── RecordMissingError    watch: a published record is not in the journal
    └── HubClosedError        watch: the server is going away
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from server.journal.base import Journal, Record
from server.journal.chain import GENESIS

_CHUNK: Final = 128
"""Records that a watcher behind the ring reads from the journal at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Nothing new for a while: the watcher has all records up to ``sequence``, where the chain is ``chain``."""

    sequence: int
    chain: bytes


class HubError(Exception):
    """Root of what a watch raises about itself."""


class SequenceAheadError(HubError):
    """A watch from a sequence that the search has not reached."""

    def __init__(self, search_id: str, requested: int, head: int) -> None:
        super().__init__(
            f"search {search_id} is at sequence {head}, so nothing can be watched after {requested}; "
            f"'nas-client watch {search_id}' shows it from the start"
        )
        self.search_id = search_id
        self.requested = requested
        self.head = head


class RecordMissingError(HubError):
    """A record was published that the journal does not have: a defect of this server."""

    def __init__(self, search_id: str, sequence: int) -> None:
        super().__init__(
            f"record {sequence} of search {search_id} was published but is not in the journal: report this"
        )
        self.search_id = search_id
        self.sequence = sequence


class HubClosedError(HubError):
    """The hub was closed; ``last_sequence`` is where a later watch goes on."""

    def __init__(self, last_sequence: int) -> None:
        super().__init__(f"the server is shutting down: watch again after sequence {last_sequence}")
        self.last_sequence = last_sequence


@dataclass(slots=True)
class _Topic:
    """What the hub knows of one search.

    Attributes:
        ring: the newest records without a gap up to the head, kept only while somebody watches.
        head: sequence of the last published record.
        chain: the chain there.
        watchers: how many watch.
        changed: set, and replaced, when the head moves or the hub closes.
    """

    ring: deque[Record]
    head: int = 0
    chain: bytes = GENESIS
    watchers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Wake everybody who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, sequence: int) -> tuple[Record, ...]:
        """Return all records after ``sequence`` if the ring has them, else none."""
        missing = self.head - sequence
        return tuple(islice(self.ring, len(self.ring) - missing, None)) if missing <= len(self.ring) else ()


class Hub:
    """Fan-out of one server's searches; belongs to one event loop."""

    def __init__(self, journal: Journal, ring_size: int = 128) -> None:
        """Create a hub that knows no search.

        Args:
            journal: where older records are.
            ring_size: newest records of a watched search that are kept in memory.
        """
        self._journal = journal
        self._ring_size = ring_size
        self._topics: dict[str, _Topic] = {}
        self._closed = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many watches are in progress."""
        return sum(topic.watchers for topic in self._topics.values())

    def register(self, search_id: str, head: int, chain: bytes) -> None:
        """Take over a search that was recovered from the journal up to ``head``, where the chain is ``chain``."""
        topic = self._topic(search_id)
        topic.ring.clear()
        topic.head, topic.chain = head, chain
        topic.wake()

    def head(self, search_id: str) -> int:
        """Return the sequence of the last published record of a search, 0 if there is none."""
        topic = self._topics.get(search_id)
        return topic.head if topic else 0

    def publish(self, records: Sequence[Record]) -> None:
        """Show watchers records that the journal has acknowledged, all of them at once; it neither waits nor fails.

        A record that was published before is passed over.
        """
        woken = {}
        for record in records:
            topic = self._topic(record.search_id)
            if record.sequence <= topic.head:
                continue
            if record.sequence != topic.head + 1:  # registered too low: what is between is in the journal
                topic.ring.clear()
            if topic.watchers:
                topic.ring.append(record)
            topic.head, topic.chain = record.sequence, record.chain
            woken[record.search_id] = topic
        for topic in woken.values():
            topic.wake()

    async def watch(
        self, search_id: str, after_sequence: int, *, heartbeat_seconds: float, is_last: Callable[[Record], bool]
    ) -> AsyncGenerator[Record | Heartbeat, None]:
        """Yield every record after ``after_sequence`` once and in order, past and future, until the last one.

        Args:
            search_id: the search; one that was never published waits for its first record.
            after_sequence: the last sequence that the watcher has, 0 for none.
            heartbeat_seconds: idle time after which a heartbeat is yielded.
            is_last: whether a record ends its search. A watch after that record ends at once.

        Raises:
            SequenceAheadError: ``after_sequence`` is above the head.
            HubClosedError: the hub was closed.
            ValueError: ``after_sequence`` is negative.
            RecordMissingError, JournalError: the journal could not be read.
        """
        topic = self._topic(search_id)
        topic.watchers += 1
        try:
            if after_sequence > topic.head:
                raise SequenceAheadError(search_id, after_sequence, topic.head)
            if not self._closed.is_set() and await self._has_ended(search_id, after_sequence, is_last):
                return
            cursor = after_sequence
            while not self._closed.is_set():
                for item in await self._next(search_id, topic, cursor, heartbeat_seconds):
                    if self._closed.is_set():
                        break
                    cursor = item.sequence
                    yield item
                    if isinstance(item, Record) and is_last(item):
                        return
            raise HubClosedError(cursor)
        finally:
            self._leave(search_id, topic)

    def close(self) -> None:
        """End every watch, at its next step, with ``HubClosedError``; later ones end at once."""
        self._closed.set()
        for topic in self._topics.values():
            topic.wake()

    def _topic(self, search_id: str) -> _Topic:
        if search_id not in self._topics:
            self._topics[search_id] = _Topic(ring=deque(maxlen=self._ring_size))
        return self._topics[search_id]

    def _leave(self, search_id: str, topic: _Topic) -> None:
        topic.watchers -= 1
        if topic.watchers == 0:
            topic.ring.clear()
            if topic.head == 0:  # nothing ever happened: whoever asked for a search that does not exist leaves no trace
                self._topics.pop(search_id, None)

    async def _next(
        self, search_id: str, topic: _Topic, cursor: int, heartbeat_seconds: float
    ) -> Sequence[Record | Heartbeat]:
        """Return the records behind ``cursor``, or a heartbeat after an idle time; nothing means: ask again."""
        if cursor < topic.head:
            return topic.after(cursor) or await self._read(search_id, cursor, topic.head)
        if await _wait(topic.changed, heartbeat_seconds) or cursor < topic.head:
            return ()
        return (Heartbeat(sequence=topic.head, chain=topic.chain),)

    async def _has_ended(self, search_id: str, sequence: int, is_last: Callable[[Record], bool]) -> bool:
        """Whether ``sequence`` is that of the search's last record."""
        return sequence != 0 and any(map(is_last, await self._journal.read(search_id, sequence - 1, 1)))

    async def _read(self, search_id: str, after_sequence: int, head: int) -> tuple[Record, ...]:
        """Read the next records from the journal; beyond ``head`` it may have some that were not published yet."""
        records = await self._journal.read(search_id, after_sequence, min(_CHUNK, head - after_sequence))
        if not records:
            raise RecordMissingError(search_id, after_sequence + 1)
        return records


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    """Return whether the event was set within some time."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
