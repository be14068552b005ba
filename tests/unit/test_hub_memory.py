# SPDX-License-Identifier: Apache-2.0
"""What watchers cost: a bounded number of records in memory while they are there, and nothing afterwards."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from memory_journal import MemoryJournal

from server.hub import Heartbeat, Hub
from server.journal.base import Journal, Record
from server.journal.sqlite import SqliteJournal

Watch = AsyncGenerator[Record | Heartbeat, None]
NEVER = 3_600.0
"""Seconds between heartbeats in tests that want none."""


def _never(_record: Record) -> bool:
    return False


async def _live_records(journal: Journal) -> int:
    """Count the records in memory, once the journal has let go of those that it returned last."""
    await journal.heads()
    gc.collect()
    return sum(isinstance(item, Record) for item in gc.get_objects())


async def _sequences(watch: Watch, last: int) -> list[int]:
    """Read up to the sequence ``last`` without keeping a record."""
    sequences: list[int] = []
    async for item in watch:
        assert isinstance(item, Record)
        sequences.append(item.sequence)
        if item.sequence == last:
            break
    return sequences


async def test_stalled_watchers_cost_one_chunk_each(tmp_path: Path) -> None:
    """Whoever stops reading shares the ring, never holds the engine up, and still gets every record in the end."""
    journal = await SqliteJournal.open(tmp_path)
    hub = Hub(journal, ring_size=16)
    hub.publish(await journal.append("a", 0, [b"x"] * 1_000))
    before = await _live_records(journal)
    watches = [hub.watch("a", after, heartbeat_seconds=NEVER, is_last=_never) for after in (0, 400, 990, 999)]
    for watch in watches:
        await anext(watch)

    for sequence in range(1_000, 3_000, 10):
        hub.publish(await journal.append("a", sequence, [b"y"] * 10))

    assert 16 <= (await _live_records(journal)) - before <= 16 + len(watches) * 128
    assert list(range(2, 3_001)) == await _sequences(watches[0], 3_000)
    for watch in watches:
        await watch.aclose()
    await journal.close()


@pytest.mark.parametrize("way", ["close", "cancel", "forget"])
async def test_a_watcher_that_vanishes_leaves_nothing(tmp_path: Path, way: str) -> None:
    """Whichever way a client goes, the records that were kept for it go, too, and later ones are not kept."""
    journal = await SqliteJournal.open(tmp_path)
    hub = Hub(journal)
    before = await _live_records(journal)
    watch = hub.watch("a", 0, heartbeat_seconds=NEVER, is_last=_never)
    waiting = asyncio.ensure_future(anext(watch))
    for _ in range(5):  # until it waits for the first record
        await asyncio.sleep(0)
    if way != "cancel":
        hub.publish(await journal.append("a", 0, [b"x"] * 50))
        await waiting
        assert 50 == await _live_records(journal) - before

    if way == "close":
        await watch.aclose()
    waiting.cancel()
    del watch
    await asyncio.gather(waiting, return_exceptions=True)
    del waiting
    gc.collect()
    await asyncio.sleep(0)  # a forgotten generator is closed by the loop
    head = hub.head("a")
    hub.publish(await journal.append("a", head, [b"y"] * 50))

    assert head + 50 == hub.head("a")
    assert 0 == await _live_records(journal) - before
    await journal.close()


async def test_asking_for_what_does_not_exist_leaves_no_trace() -> None:
    """Watches of made-up searches do not fill the memory."""
    hub = Hub(MemoryJournal())
    for search_id in ("b", "c"):
        watch = hub.watch(search_id, 0, heartbeat_seconds=0.0, is_last=_never)
        await anext(watch)
        await watch.aclose()

    assert {} == hub._topics
