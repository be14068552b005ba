# SPDX-License-Identifier: Apache-2.0
"""The six promises of etcd's watch, held by every watcher under random interleavings.

Ordered, unique, reliable, atomic, resumable, bookmarkable: https://etcd.io/docs/v3.6/learning/api_guarantees/
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from memory_journal import MemoryJournal

from server.hub import Heartbeat, Hub
from server.journal.base import Journal, Record
from server.journal.sqlite import SqliteJournal

SEARCHES = ("a", "b")
LAST = b"last"


def _is_last(record: Record) -> bool:
    return record.payload == LAST


class HesitantJournal(MemoryJournal):
    """Lets others run before and after it reads, as a disk does."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self._draw = draw

    async def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        await _hesitate(self._draw, 3)
        records = await super().read(search_id, after_sequence, limit)
        await _hesitate(self._draw, 3)
        return records


async def _hesitate(draw: random.Random, most: int) -> None:
    for _ in range(draw.randint(0, most)):
        await asyncio.sleep(0)


class Story:
    """One random run: an engine for each search that appends in groups, and watchers that come, dawdle, go and return.

    Attributes:
        groups: the sequences at which a group of records ended, by search; 0 is one.
        chains: the chain at each sequence, by search.
    """

    def __init__(self, journal: Journal, hub: Hub, draw: random.Random) -> None:
        self.journal = journal
        self.hub = hub
        self.draw = draw
        self.groups: dict[str, set[int]] = {search_id: {0} for search_id in SEARCHES}
        self.chains: dict[str, dict[int, bytes]] = {search_id: {} for search_id in SEARCHES}

    async def write(self, search_id: str) -> None:
        """Append and publish 20 groups of up to 5 records, then the last one."""
        head = 0
        for number in range(21):
            payloads = [LAST] if number == 20 else [self.draw.randbytes(3) for _ in range(self.draw.randint(1, 5))]
            records = await self.journal.append(search_id, head, payloads)
            head = records[-1].sequence
            await _hesitate(self.draw, 4)
            self.groups[search_id].add(head)
            self.chains[search_id] |= {record.sequence: record.chain for record in records}
            self.hub.publish(records)
            await _hesitate(self.draw, 12)

    async def watch(self, search_id: str) -> list[Record]:
        """Watch to the end with interruptions; return what was seen, checking each item as it comes."""
        await _hesitate(self.draw, 60)
        patience = self.draw.choice((0, 1, 10))
        seen: list[Record] = []
        while not (seen and _is_last(seen[-1])):
            cursor = seen[-1].sequence if seen else 0
            seconds = self.draw.choice((0.0, 0.0005, 3_600.0))
            watch = self.hub.watch(search_id, cursor, heartbeat_seconds=seconds, is_last=_is_last)
            async for item in watch:
                if isinstance(item, Heartbeat):
                    self.check_bookmark(search_id, item, seen[-1].sequence if seen else 0)
                else:
                    assert item.sequence <= self.hub.head(search_id)
                    seen.append(item)
                await _hesitate(self.draw, patience)
                if self.draw.random() < 0.05:
                    break
            await watch.aclose()
        return seen

    def check_bookmark(self, search_id: str, heartbeat: Heartbeat, last_seen: int) -> None:
        """Bookmarkable and atomic: it names what was seen, which is where a group ended, and the chain there."""
        assert last_seen == heartbeat.sequence
        assert last_seen in self.groups[search_id]
        assert self.chains[search_id].get(last_seen, heartbeat.chain) == heartbeat.chain


async def _live_through(journal: Journal, draw: random.Random) -> None:
    story = Story(journal, Hub(journal, ring_size=draw.choice((1, 2, 8, 128))), draw)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for search_id in SEARCHES:
            group.create_task(story.write(search_id))
        watchers = [(name, group.create_task(story.watch(name))) for name in SEARCHES for _ in range(4)]
    for search_id, watcher in watchers:
        expected = await journal.read(search_id, 0, 1_000)
        # Ordered, unique, reliable and, over all the interruptions, resumable: the same list.
        assert expected == tuple(watcher.result())
        assert _is_last(expected[-1])
    await journal.close()


@pytest.mark.parametrize("seed", range(40))
async def test_watch_keeps_its_promises(seed: int) -> None:
    """Whatever runs when, each watcher sees the journal."""
    draw = random.Random(seed)

    await _live_through(HesitantJournal(draw), draw)


@pytest.mark.parametrize("seed", range(5))
async def test_watch_keeps_its_promises_on_disk(tmp_path: Path, seed: int) -> None:
    """The same with the durable journal and its thread."""
    await _live_through(await SqliteJournal.open(tmp_path), random.Random(seed))


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_group_is_shown_at_once(after: int) -> None:
    """Atomic: as soon as one record of a group is there, so is the rest, and the head is its end."""
    journal = MemoryJournal()
    hub = Hub(journal)
    hub.publish(await journal.append("a", 0, [b"x"] * after))
    watch = hub.watch("a", after, heartbeat_seconds=0.0, is_last=_is_last)
    records = await journal.append("a", after, [b"x", b"y", b"z"])

    hub.publish(records)

    items = [await anext(watch) for _ in range(4)]
    assert [*records, Heartbeat(sequence=after + 3, chain=records[-1].chain)] == items
    await watch.aclose()
