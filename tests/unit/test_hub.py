# SPDX-License-Identifier: Apache-2.0
"""What a watcher is told, when, and what it costs the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from memory_journal import MemoryJournal

from server.hub import Heartbeat, Hub, HubClosedError, RecordMissingError, SequenceAheadError
from server.journal.base import Record
from server.journal.chain import GENESIS

LAST = b"last"
Watch = AsyncGenerator[Record | Heartbeat, None]
NEVER = 3_600.0
"""Seconds between heartbeats in tests that want none."""


def _is_last(record: Record) -> bool:
    return record.payload == LAST


class Server:
    """A journal and its hub, as the engine uses them."""

    def __init__(self, ring_size: int = 4) -> None:
        self.journal = MemoryJournal()
        self.hub = Hub(self.journal, ring_size)

    async def append(self, *payloads: bytes, search_id: str = "a") -> tuple[Record, ...]:
        """Append without publishing."""
        heads = {head.search_id: head.sequence for head in await self.journal.heads()}
        return await self.journal.append(search_id, heads.get(search_id, 0), payloads)

    async def publish(self, *payloads: bytes, search_id: str = "a") -> tuple[Record, ...]:
        """Append and publish."""
        records = await self.append(*payloads, search_id=search_id)
        self.hub.publish(records)
        return records

    def watch(self, after_sequence: int = 0, *, heartbeat_seconds: float = NEVER, search_id: str = "a") -> Watch:
        """Watch until the record ``LAST``."""
        return self.hub.watch(search_id, after_sequence, heartbeat_seconds=heartbeat_seconds, is_last=_is_last)


@pytest.fixture
def server() -> Server:
    """A server without any search."""
    return Server()


async def _collect(watch: Watch) -> list[Record | Heartbeat]:
    return [item async for item in watch]


async def _start(watch: Watch) -> asyncio.Task[Record | Heartbeat]:
    """Ask for the next item and give the watch the time to find that there is none."""
    task = asyncio.ensure_future(anext(watch))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.mark.parametrize("count", [1, 4, 5, 300])
async def test_a_late_watcher_sees_the_whole_history(server: Server, count: int) -> None:
    """However much longer than the ring and than one read from the journal it is."""
    records = await server.publish(*[b"x"] * (count - 1), LAST)

    assert list(records) == await _collect(server.watch())


@pytest.mark.parametrize("after", [0, 1, 5, 9])
async def test_a_watcher_resumes_where_it_was(server: Server, after: int) -> None:
    """Exactly the records after its sequence come."""
    records = await server.publish(*[b"x"] * 9, LAST)

    assert list(records[after:]) == await _collect(server.watch(after))


async def test_a_live_watcher_gets_what_is_published(server: Server) -> None:
    """A watcher that waits is woken by the next record, and ends after the last."""
    await server.publish(b"x")
    watch = server.watch(1)
    waiting = await _start(watch)

    records = await server.publish(b"y", LAST)

    assert records[0] == await waiting
    assert [records[1]] == await _collect(watch)


async def test_a_watch_after_the_last_record_ends_at_once(server: Server) -> None:
    """A client that has everything is not kept waiting."""
    await server.publish(b"x", LAST)

    assert [] == await _collect(server.watch(2))


async def test_what_is_not_published_is_not_shown(server: Server) -> None:
    """A record that the journal has but the engine has not applied yet is not delivered, not even in a catch-up."""
    published = await server.publish(b"x", b"x")
    unpublished = await server.append(b"y", LAST)
    watch = server.watch()

    assert list(published) == [await anext(watch), await anext(watch)]
    waiting = await _start(watch)
    assert 2 == server.hub.head("a")
    server.hub.publish(unpublished)
    assert 4 == server.hub.head("a")
    assert unpublished[0] == await waiting


async def test_searches_do_not_mix(server: Server) -> None:
    """A watcher of one search never sees another's records."""
    await server.publish(b"x", search_id="b")
    mine = await server.publish(b"y", LAST)

    assert list(mine) == await _collect(server.watch())


@pytest.mark.parametrize("search_id", ["a", "unknown"])
async def test_a_sequence_ahead_is_refused(server: Server, search_id: str) -> None:
    """Nobody can have seen what does not exist; the error says how far the search is."""
    await server.publish(b"x")
    head = server.hub.head(search_id)

    with pytest.raises(SequenceAheadError) as caught:
        await anext(server.watch(head + 1, search_id=search_id))

    error = caught.value
    assert (search_id, head + 1, head) == (error.search_id, error.requested, error.head)


async def test_an_idle_watcher_hears_the_head(server: Server) -> None:
    """Heartbeats carry the head and the chain there, again and again."""
    records = await server.publish(b"x", b"y")
    watch = server.watch(1, heartbeat_seconds=0.001)
    expected = Heartbeat(sequence=2, chain=records[1].chain)

    assert [records[1], expected, expected] == [await anext(watch), await anext(watch), await anext(watch)]


async def test_a_recovered_search_goes_on(server: Server) -> None:
    """After a restart the hub knows the head from the engine and the history from the journal."""
    records = await server.append(b"x", b"y")
    server.hub.register("a", 2, records[1].chain)
    watch = server.watch(heartbeat_seconds=0.001)

    items = [await anext(watch), await anext(watch), await anext(watch)]

    assert [*records, Heartbeat(sequence=2, chain=records[1].chain)] == items


async def test_a_search_can_be_watched_before_its_first_record(server: Server) -> None:
    """The watch waits, with heartbeats from the beginning of the chain."""
    watch = server.watch(heartbeat_seconds=0.001)
    first = await anext(watch)
    (record,) = await server.publish(LAST)

    rest = [item for item in await _collect(watch) if isinstance(item, Record)]

    assert Heartbeat(sequence=0, chain=GENESIS) == first
    assert [record] == rest


async def test_publishing_twice_shows_once(server: Server) -> None:
    """Records that were published before are passed over, and the head does not go back to them."""
    records = await server.publish(b"x", b"y")
    watch = server.watch()
    first = await anext(watch)

    server.hub.publish(records[:1])

    assert 2 == server.hub.head("a")
    (last,) = await server.publish(LAST)
    assert [*records, last] == [first, *await _collect(watch)]


async def test_a_hole_in_what_is_published_is_filled_from_the_journal(server: Server) -> None:
    """A hub that was not told of every record still shows every record."""
    watch = server.watch()
    waiting = await _start(watch)
    first = await server.publish(b"x", b"x")
    hole = await server.append(b"y")

    last = await server.publish(LAST)

    assert [*first, *hole, *last] == [await waiting, *await _collect(watch)]


async def test_a_search_can_be_registered_while_it_is_watched(server: Server) -> None:
    """Watchers read what they have not been shown from the journal, not from what the hub knew before."""
    watch = server.watch()
    waiting = await _start(watch)
    first = await server.publish(b"x", b"x")
    more = await server.append(b"y", LAST)

    assert list(first) == [await waiting, await anext(watch)]
    server.hub.register("a", 4, more[-1].chain)

    assert list(more) == await _collect(watch)


async def test_a_record_that_is_nowhere_is_an_error(server: Server) -> None:
    """Something published but never journaled ends the watch instead of spinning."""
    server.hub.register("a", 3, GENESIS)

    with pytest.raises(RecordMissingError) as caught:
        await anext(server.watch())

    assert ("a", 1) == (caught.value.search_id, caught.value.sequence)


async def test_close_ends_every_watch(server: Server) -> None:
    """Whether it waits, lags or starts too late, each is told after which sequence to go on."""
    await server.publish(*[b"x"] * 200)
    lagging, idle, late = server.watch(), server.watch(200), server.watch(7)
    await anext(lagging)
    waiting = await _start(idle)

    server.hub.close()
    await server.journal.close()
    server.hub.publish(())

    for next_item, last_sequence in ((anext(lagging), 1), (waiting, 200), (anext(late), 7)):
        with pytest.raises(HubClosedError) as caught:
            await next_item
        assert last_sequence == caught.value.last_sequence
