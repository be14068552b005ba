# SPDX-License-Identifier: Apache-2.0
"""Writes a journal on a simulated disk, and checks what a power loss leaves of it at any moment."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from power_loss import Acknowledge, Adversary, Disk, Files, Step, recording

from server.journal.base import JournalError
from server.journal.high_water import read_slots
from server.journal.recovery import newest, open_store
from server.journal.store import Append, JournalStore

SEARCHES = ("a", "b", "c")
Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class History:
    """What was handed to the journal: search and payload by position, and the positions at which a transaction ends."""

    records: tuple[tuple[str, bytes], ...] = ()
    ends: frozenset[int] = frozenset({0})

    def up_to(self, position: int) -> History:
        """Return the history up to a position."""
        return History(self.records[:position], frozenset(end for end in self.ends if end <= position))

    def then(self, records: list[tuple[str, bytes]]) -> History:
        """Return the history with one more transaction."""
        longer = (*self.records, *records)
        return History(longer, self.ends | {len(longer)})

    def payloads(self) -> dict[str, tuple[bytes, ...]]:
        """The events of each search."""
        found: dict[str, list[bytes]] = {}
        for search_id, payload in self.records:
            found.setdefault(search_id, []).append(payload)
        return {search_id: tuple(payloads) for search_id, payloads in found.items()}


@dataclass(slots=True)
class Trace:
    """A recording of what a journal did to its files.

    Attributes:
        before: the files at the beginning; ``None`` if there was no folder.
        acknowledged: records that had been at the beginning.
    """

    before: Files | None
    history: History
    acknowledged: int = 0
    steps: list[Step] = field(default_factory=list)

    def crashes(self, moments: list[tuple[int, Adversary]], seed: str) -> Iterator[tuple[str, Files | None, int]]:
        """Yield name, surviving files and number of acknowledged records for moments in the order of their steps."""
        disk = Disk(self.before or {}, has_folder=self.before is not None)
        disk.acknowledged = self.acknowledged
        done = 0
        for step, adversary in moments:
            for taken in self.steps[done:step]:
                disk.take(taken)
            done = step
            name = f"{seed}, after step {step}, {adversary.value}"
            yield name, disk.crash(adversary, random.Random(name)), disk.acknowledged

    def moments(self) -> list[tuple[int, Adversary]]:
        """Every boundary between two steps, with every adversary."""
        return [(step, adversary) for step in range(len(self.steps) + 1) for adversary in Adversary]


def record(folder: Path, draw: random.Random, *, sessions: int, commits: int, plant: Plant | None = None) -> Trace:
    """Make a journal: some openings with some transactions and checkpoints each, in the end closed or killed."""
    trace = Trace(None, History())
    with recording(folder, trace.steps, plant) as vfs:
        for _ in range(sessions):
            _write(folder, vfs, trace, draw, commits)
    return trace


def record_again(folder: Path, files: Files, history: History, acknowledged: int, draw: random.Random) -> Trace:
    """Record an opening of what a crash has left, with one more transaction."""
    put(folder, files)
    trace = Trace(dict(files), history, acknowledged=acknowledged)
    with recording(folder, trace.steps) as vfs:
        _write(folder, vfs, trace, draw, 1)
    return trace


def put(folder: Path, files: Files | None) -> None:
    """Replace the contents of a folder by these files."""
    shutil.rmtree(folder, ignore_errors=True)
    if files is not None:
        folder.mkdir(mode=0o700)
        for name, data in files.items():
            (folder / name).write_bytes(data)


def _write(folder: Path, vfs: str, trace: Trace, draw: random.Random, commits: int) -> None:
    store = open_store(folder, vfs=vfs)
    # Whatever an open journal shows is durable, also what nobody was told of before.
    trace.steps.append(Acknowledge(sum(head.sequence for head in store.heads())))
    for _ in range(commits):
        _commit(store, trace, draw)
        if draw.random() < 0.15:
            store.tidy(limit_pages=draw.choice((0, 20)))
    if draw.random() < 0.5:
        store.fail(InterruptedError("killed"))  # closing does not tidy up then
    store.close()


def _commit(store: JournalStore, trace: Trace, draw: random.Random) -> None:
    heads = {head.search_id: head.sequence for head in store.heads()}
    appends = []
    records: list[tuple[str, bytes]] = []
    for search_id in draw.sample(SEARCHES, draw.randint(1, len(SEARCHES))):
        payloads = tuple(draw.randbytes(draw.choice((1, 100, 400, 9_000))) for _ in range(draw.randint(1, 3)))
        appends.append(Append(search_id=search_id, expected_sequence=heads.get(search_id, 0), payloads=payloads))
        records += [(search_id, payload) for payload in payloads]
    trace.history = trace.history.then(records)
    store.commit(appends)
    trace.steps.append(Acknowledge(len(trace.history.records)))


def judge(folder: Path, history: History, acknowledged: int) -> tuple[str, int]:
    """Open what is left as a server would; return what is wrong with it, empty if nothing, and the records found."""
    mark = newest(read_slots(folder / "journal.head"))
    if acknowledged > (mark.position if mark else 0):
        return f"{acknowledged} records were acknowledged before the high-water mark said so: {mark}", 0
    try:
        with recording(folder, []) as vfs:
            return _judge_open(folder, vfs, history, acknowledged)
    except (JournalError, OSError) as error:
        return f"cannot be opened: {error}", 0


def _judge_open(folder: Path, vfs: str, history: History, acknowledged: int) -> tuple[str, int]:
    found, total = _read(folder, vfs)
    if found != history.up_to(total).payloads():
        return f"the {total} records found are not the first of those that were written", total
    if total < acknowledged:
        return f"{acknowledged} records were acknowledged and {total} are there", total
    if total not in history.ends:
        return f"{total} records are there: a transaction in part", total
    return "", total


def _read(folder: Path, vfs: str) -> tuple[dict[str, tuple[bytes, ...]], int]:
    store = open_store(folder, vfs=vfs)
    try:
        heads = {head.search_id: head.sequence for head in store.heads()}
        records = {search_id: store.read(search_id, 0, head) for search_id, head in heads.items()}
    finally:
        store.close()
    return {name: tuple(record.payload for record in group) for name, group in records.items()}, sum(heads.values())
