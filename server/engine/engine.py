# SPDX-License-Identifier: Apache-2.0
"""The single writer of one search: command, decide, append, evolve, publish, in this order.

The append is the commit point. Whatever dies before it has not happened; whatever dies after it is found by replay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from nas.child import ChildId
from nas.search import commands, events
from nas.search.evolve import evolve
from nas.search.machine import decide, running_attempts
from nas.search.progress import Draw
from nas.search.state import Search
from nas.seeds import seeded_draw
from server.codec.envelope import Envelope, decode, encode
from server.codec.views import SearchView
from server.crash_points import reach
from server.engine.clock import Clock
from server.hub import Hub
from server.journal.base import Journal, JournalError, JournalFullError, Record

_READ_CHUNK = 1000
DISK_FULL_PAUSE_SECONDS = 2.0
"""How long a search waits before it tries again to journal an event for which the disk had no space."""

Sink = Callable[[Envelope], None]
"""A function that is called with every event after it is durable. What it raises is logged and changes nothing."""

log = structlog.get_logger("nas.engine")


class Engine:
    """Owns one search; all changes go through ``submit``."""

    def __init__(
        self,
        search_id: str,
        *,
        journal: Journal,
        hub: Hub,
        clock: Clock,
        sinks: Sequence[Sink],
        tallies: Sequence[Sink] = (),
        on_change: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        pause_seconds: float = DISK_FULL_PAUSE_SECONDS,
    ) -> None:
        self.search_id = search_id
        self._journal = journal
        self._hub = hub
        self._clock = clock
        self._sinks = (*sinks, *tallies)
        self._tallies = tallies
        self._on_change = on_change
        self._on_fatal = on_fatal
        self._pause_seconds = pause_seconds
        self._closing = asyncio.Event()
        self._search: Search | None = None
        self._sequence = 0
        self._created_ns = 0
        self._updated_ns = 0
        self._running_base = 0.0
        self._anchor = clock.monotonic()
        self._turn = asyncio.Lock()
        self.has_begun = False
        """Whether the state is complete: the search was started, or its journal was replayed to the end."""
        self.lacks_disk_space = False
        """Whether the disk has too little space for the next attempt."""
        self._is_journal_full = False

    @property
    def search(self) -> Search:
        """The state.

        Raises:
            LookupError: the search has not begun.
        """
        if self._search is None:
            raise LookupError(f"search {self.search_id} has not begun")
        return self._search

    @property
    def running_seconds(self) -> float:
        """Seconds in which an attempt was running: without downtime, pauses, and waiting for a worker or disk space."""
        if self._search is None or self._is_journal_full or not running_attempts(self._search):
            return self._running_base
        return self._running_base + self._clock.monotonic() - self._anchor

    @property
    def is_disk_full(self) -> bool:
        """Whether the search waits for disk space."""
        return self.lacks_disk_space or self._is_journal_full

    def view(self, *, is_disk_full: bool = False, is_queued: bool = False) -> SearchView:
        """Return what the API shows. The arguments tell of disk and workers, which all searches share."""
        return SearchView(
            search_id=self.search_id,
            search=self.search,
            sequence=self._sequence,
            created_ns=self._created_ns,
            updated_ns=self._updated_ns,
            running_seconds=self.running_seconds,
            is_disk_full=is_disk_full,
            is_queued=is_queued,
        )

    async def recover(self) -> None:
        """Replay the journal.

        Raises:
            UnknownEventError, IllegalEventError: the journal holds what this version does not understand.
        """
        while records := await self._journal.read(self.search_id, self._sequence, _READ_CHUNK):
            envelopes = [decode(record.payload) for record in records]
            for envelope in envelopes:
                self._take_over(envelope)
            self._tell(self._tallies, envelopes)
            self._hub.register(self.search_id, records[-1].sequence, records[-1].chain)
        self.has_begun = True
        self._anchor = self._clock.monotonic()

    async def submit(self, command: commands.Command) -> None:
        """Carry out a command; its events are durable on return. Cancelling the caller does not interrupt it.

        Raises:
            RejectedError: the state does not allow the command.
            JournalFullError: the disk is full and the search is starting or closed; otherwise the command waits.
            JournalError: the journal failed; ``on_fatal`` has been called.
        """
        await asyncio.shield(asyncio.ensure_future(self._carry_out(command)))

    def close(self) -> None:
        """Wait for disk space no longer: what cannot be journaled now, the next server finds by replay."""
        self._closing.set()

    async def _carry_out(self, command: commands.Command) -> None:
        async with self._turn:
            facts = decide(self._search, command, self._draw_for(command))
            if facts:
                reach("engine.before_append")
                envelopes, records = await self._append(facts)
                reach("engine.before_evolve")
                for envelope in envelopes:
                    self._take_over(envelope)
                self.has_begun = True
                reach("engine.before_publish")
                self._hub.publish(records)
                reach("engine.before_sinks")
                self._tell(self._sinks, envelopes)
                self._on_change()
                reach("engine.done")

    def _tell(self, sinks: Sequence[Sink], envelopes: Sequence[Envelope]) -> None:
        for sink in sinks:
            for envelope in envelopes:
                try:
                    sink(envelope)
                except Exception:
                    log.exception("sink_failed", search_id=self.search_id, sequence=envelope.sequence)

    async def _append(self, facts: Sequence[events.Event]) -> tuple[list[Envelope], tuple[Record, ...]]:
        """Journal events. While the disk is full, a search that has begun waits."""
        while True:
            envelopes = self._wrap(facts)
            payloads = [encode(envelope) for envelope in envelopes]
            try:
                records = await self._journal.append(self.search_id, self._sequence, payloads)
            except JournalFullError:
                if self._search is None or self._closing.is_set():
                    raise
                self._running_base = self.running_seconds
                self._is_journal_full = True
                log.warning("journal_full", search_id=self.search_id, retry_seconds=self._pause_seconds)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds):
                        await self._closing.wait()
            except JournalError as error:
                self._on_fatal(error)
                raise
            else:
                self._is_journal_full = False
                return envelopes, records

    def _wrap(self, facts: Sequence[events.Event]) -> list[Envelope]:
        now, running = self._clock.wall_ns(), self.running_seconds
        return [
            Envelope(search_id=self.search_id, sequence=sequence, time_ns=now, running_seconds=running, fact=fact)
            for sequence, fact in enumerate(facts, start=self._sequence + 1)
        ]

    def _take_over(self, envelope: Envelope) -> None:
        self._search = evolve(self._search, envelope.fact)
        self._sequence = envelope.sequence
        self._created_ns = self._created_ns or envelope.time_ns
        self._updated_ns = envelope.time_ns
        self._running_base = envelope.running_seconds
        self._anchor = self._clock.monotonic()

    def _draw_for(self, command: commands.Command) -> Draw:
        config = command.config if isinstance(command, commands.StartSearch) else self.search.config
        return seeded_by(config.seed)


def seeded_by(seed: int) -> Draw:
    """Return draws that depend on seed, child and index alone, so that they are the same after a restart."""

    def draw(child_id: ChildId, index: int, below: int) -> int:
        return seeded_draw(seed, "draw", str(child_id), index, below=below)

    return draw
