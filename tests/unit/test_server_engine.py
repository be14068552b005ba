# SPDX-License-Identifier: Apache-2.0
"""The single writer of a search: what comes first, what a failure leaves behind, what replay brings back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attempts import DATASET
from control_plane import TurnedClock, make_config
from memory_journal import MemoryJournal
from search_driver import RUNTIME

from nas.child import ChildId
from nas.search import commands, events
from nas.search.conditions import Resources
from nas.search.control import RejectedError
from nas.search.digest import digest
from nas.search.reasons import LostReason
from nas.search.state import ChildState, SearchState
from server.codec.envelope import Envelope, UnknownEventError, decode
from server.engine import Clock, Engine
from server.hub import Hub
from server.journal.base import Head, JournalFailedError, JournalFullError, Record

SEARCH_ID = "3f2a9c01b7de"
START = commands.StartSearch(
    config=make_config(),
    request_id="",
    dataset=DATASET,
    resources=Resources(threads=1, memory_limit_bytes=1 << 40),
    software="seib-nas 0",
)
LAUNCH = commands.LaunchAttempt(child_id=ChildId(1, 1))
BEGIN = commands.ReportStarted(child_id=ChildId(1, 1), attempt=1, runtime=RUNTIME, resumed_after_epoch=0)
LOSE = commands.ReportLost(child_id=ChildId(1, 1), attempt=1, reason=LostReason.WORKER_EXITED, detail="it went")
FULL, FAILED = JournalFullError(Path("journal.db")), JournalFailedError(Path("journal.db"), "disk I/O error")


class UnreliableJournal(MemoryJournal):
    """Fails in the order that a test has written down, then works."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.calls = 0

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return await super().append(search_id, expected_sequence, payloads)


class Bench:
    """An engine whose surroundings write down what they are told."""

    def __init__(self, journal: MemoryJournal, **options: Any) -> None:
        self.journal = journal
        self.hub = Hub(journal)
        self.told: list[Envelope] = []
        self.fatal: list[BaseException] = []
        self.changes = 0
        given: dict[str, Any] = {"clock": Clock(), "sinks": (self.told.append,), "pause_seconds": 0.0}
        self.engine = Engine(
            SEARCH_ID,
            journal=journal,
            hub=self.hub,
            on_change=self._change,
            on_fatal=self.fatal.append,
            **given | options,
        )

    def _change(self) -> None:
        self.changes += 1

    @property
    def traces(self) -> tuple[int, int, int]:
        """What was published, told and announced."""
        return self.hub.head(SEARCH_ID), len(self.told), self.changes


@pytest.fixture
async def bench() -> Bench:
    """An engine whose search has begun."""
    bench = Bench(UnreliableJournal())
    await bench.engine.submit(START)
    return bench


async def test_a_search_that_has_not_begun_has_no_state() -> None:
    """Asking for it is a mistake of the caller's."""
    with pytest.raises(LookupError):
        _ = Bench(MemoryJournal()).engine.search


async def test_facts_are_durable_before_anybody_hears_of_them() -> None:
    """While the journal writes, state, watchers and sinks are as before; afterwards all of them have moved."""
    seen = []

    class Looking(UnreliableJournal):
        async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> Any:
            seen.append((fresh.traces, fresh.engine.view().sequence if expected_sequence else 0))
            return await super().append(search_id, expected_sequence, payloads)

    fresh = Bench(Looking())

    await fresh.engine.submit(START)
    await fresh.engine.submit(LAUNCH)

    assert [((0, 0, 0), 0), ((7, 7, 1), 7)] == seen
    assert (8, 8, 2) == fresh.traces
    assert [head.sequence for head in await fresh.journal.heads()] == [8]
    assert list(range(1, 9)) == [envelope.sequence for envelope in fresh.told]


async def test_a_failed_journal_changes_nothing_and_is_fatal(bench: Bench) -> None:
    """The caller gets the error, and whoever ends the server is told of it."""
    before, search = bench.traces, bench.engine.search
    assert isinstance(bench.journal, UnreliableJournal)
    bench.journal.failures = [FAILED]

    with pytest.raises(JournalFailedError):
        await bench.engine.submit(LAUNCH)

    assert [FAILED] == bench.fatal
    assert before == bench.traces
    assert search is bench.engine.search


async def test_a_search_does_not_begin_on_a_full_disk() -> None:
    """The one command that is refused for want of room, and nothing of it remains."""
    bench = Bench(UnreliableJournal(FULL))

    with pytest.raises(JournalFullError):
        await bench.engine.submit(START)

    assert (0, 0, 0) == bench.traces
    assert [] == bench.fatal
    assert () == await bench.journal.heads()


async def test_a_search_waits_for_room_and_goes_on(bench: Bench) -> None:
    """However often the disk is full; while it waits it says so, and the fact is written once."""
    seen = []

    class Filling(UnreliableJournal):
        async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> Any:
            seen.append(waiting.engine.is_disk_full)
            return await super().append(search_id, expected_sequence, payloads)

    journal = Filling()
    waiting = Bench(journal)
    await waiting.engine.submit(START)
    journal.failures = [FULL, FULL, FULL]

    await waiting.engine.submit(LAUNCH)

    assert [False, False, True, True, True] == seen
    assert not waiting.engine.is_disk_full
    assert 8 == waiting.engine.view().sequence
    assert [] == waiting.fatal


async def test_waiting_for_room_takes_no_running_time() -> None:
    """Running time stands still while a fact cannot be written, though an attempt is running."""
    clock = TurnedClock()

    class Filling(UnreliableJournal):
        async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> Any:
            clock.seconds += 10.0
            return await super().append(search_id, expected_sequence, payloads)

    journal = Filling()
    bench = Bench(journal, clock=clock.as_clock())
    await bench.engine.submit(START)
    await bench.engine.submit(LAUNCH)
    clock.seconds += 5.0
    journal.failures = [FULL] * 360

    await bench.engine.submit(BEGIN)

    assert 15.0 == bench.engine.running_seconds


async def test_a_closed_engine_does_not_wait_for_room() -> None:
    """A server that is asked to stop on a full disk stops; the next one finds what was not written by replay."""
    bench = Bench(UnreliableJournal(), pause_seconds=3600.0)
    await bench.engine.submit(START)
    assert isinstance(bench.journal, UnreliableJournal)
    bench.journal.failures = [FULL] * 3
    waiting = asyncio.create_task(bench.engine.submit(LAUNCH))
    for _ in range(10):
        await asyncio.sleep(0)
    assert bench.engine.is_disk_full

    bench.engine.close()

    with pytest.raises(JournalFullError):
        await waiting
    assert 7 == bench.engine.view().sequence


async def test_a_sink_that_fails_is_nobodys_problem() -> None:
    """Neither the caller nor the sinks after it notice."""

    def fail(envelope: Envelope) -> None:
        if envelope.sequence == 1:
            raise ValueError(envelope.sequence)

    told: list[Envelope] = []
    bench = Bench(MemoryJournal(), sinks=(fail, told.append))

    await bench.engine.submit(START)

    assert 7 == len(told) == bench.hub.head(SEARCH_ID)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_caller_interrupts_nothing(bench: Bench, turns: int) -> None:
    """Wherever a client's disconnection hits, the command is carried out as a whole."""
    task = asyncio.create_task(bench.engine.submit(LAUNCH))
    for _ in range(turns):
        await asyncio.sleep(0)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bench.engine.submit(commands.CancelSearch())

    if turns:  # else it was cancelled before it began
        assert ChildState.RUNNING is bench.engine.search.children[ChildId(1, 1)].state
    assert len(bench.told) == bench.engine.view().sequence == bench.hub.head(SEARCH_ID)


async def test_commands_are_carried_out_in_their_order(bench: Bench) -> None:
    """Also when all are given at once."""
    given: list[commands.Command] = [LAUNCH, LOSE, LAUNCH, replace(LOSE, attempt=2), commands.CancelSearch()]

    await asyncio.gather(*(bench.engine.submit(command) for command in given))

    expected = [events.AttemptLaunched, events.AttemptLost] * 2 + [events.CancelRequested]
    assert expected == [type(envelope.fact) for envelope in bench.told[7:12]]


async def test_a_refused_command_leaves_no_trace(bench: Bench) -> None:
    """Starting twice, for example."""
    before = bench.traces

    with pytest.raises(RejectedError):
        await bench.engine.submit(START)

    assert before == bench.traces


@pytest.mark.parametrize("stale", [LOSE, replace(LOSE, attempt=2), replace(LOSE, child_id=ChildId(9, 9))])
async def test_a_stale_report_is_not_even_written(bench: Bench, stale: commands.Report) -> None:
    """Reports of attempts that are not out are passed over in silence."""
    before = bench.traces

    await bench.engine.submit(stale)

    assert before == bench.traces
    assert isinstance(bench.journal, UnreliableJournal)
    assert 1 == bench.journal.calls


async def test_replay_brings_everything_back(bench: Bench) -> None:
    """The state, the sequence, the times; and replaying again changes nothing."""
    for command in (LAUNCH, LOSE, LAUNCH):
        await bench.engine.submit(command)
    view = bench.engine.view()
    again = Bench(bench.journal)

    await again.engine.recover()
    once = again.engine.view()
    await again.engine.recover()

    assert (view.search, view.sequence, view.created_ns, view.updated_ns) == (
        once.search,
        once.sequence,
        once.created_ns,
        once.updated_ns,
    )
    assert digest(view.search) == digest(again.engine.view().search)
    assert view.sequence == again.engine.view().sequence == again.hub.head(SEARCH_ID)
    assert ([], 0) == (again.told, again.changes)


async def test_a_journal_of_a_newer_server_is_refused(bench: Bench) -> None:
    """The error names the event; nothing is guessed."""
    await bench.journal.append(SEARCH_ID, 7, [b"\x0a\x0c3f2a9c01b7de\x10\x08\x9a\x06\x00"])

    with pytest.raises(UnknownEventError, match=f"event 8 of search {SEARCH_ID} cannot be read"):
        await Bench(bench.journal).engine.recover()


async def test_running_time_leaves_out_waiting_and_downtime() -> None:
    """It begins with the first attempt, goes on where the last fact left it, and ends with the search."""
    clock, journal = TurnedClock(), MemoryJournal()
    first = Bench(journal, clock=clock.as_clock())
    await first.engine.submit(START)
    clock.seconds = 1000.0
    await first.engine.submit(LAUNCH)
    clock.seconds += 60.0
    await first.engine.submit(BEGIN)
    clock.seconds = 100_000.0
    second = Bench(journal, clock=clock.as_clock())
    await second.engine.recover()
    clock.seconds += 5.0

    running = second.engine.running_seconds
    await second.engine.submit(commands.CancelSearch())
    await second.engine.submit(LOSE)
    clock.seconds += 1000.0

    assert 65.0 == running
    assert SearchState.CANCELLED is second.engine.search.state
    assert 65.0 == second.engine.running_seconds == second.engine.view().running_seconds
    assert 65.0 == decode((await journal.read(SEARCH_ID, 0, 99))[-1].payload).running_seconds


async def test_records_carry_the_wall_clock_and_their_place() -> None:
    """Numbered from 1, stamped with the time at which they were written."""
    clock = TurnedClock(seconds=1_700_000_000.0)
    bench = Bench(MemoryJournal(), clock=clock.as_clock())

    await bench.engine.submit(START)

    envelopes = [decode(record.payload) for record in await bench.journal.read(SEARCH_ID, 0, 99)]
    assert [(SEARCH_ID, n, 1_700_000_000 * 10**9 + 1) for n in range(1, 8)] == [
        (envelope.search_id, envelope.sequence, envelope.time_ns) for envelope in envelopes
    ]
    assert (Head(search_id=SEARCH_ID, sequence=7),) == await bench.journal.heads()
