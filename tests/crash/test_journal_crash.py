# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment loses nothing acknowledged; a flipped bit or a cut-off file is noticed or harmless."""

from __future__ import annotations

import asyncio
import hashlib
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.journal.base import FutureVersionError, JournalDamagedError, JournalFailedError, Record
from server.journal.sqlite import SqliteJournal

SEARCHES = ("a", "b", "c", "d")
APPENDER = """
import asyncio, hashlib, random, sys
from pathlib import Path
from server.journal.sqlite import SqliteJournal

async def append(journal, search_id, head):
    while True:
        group = range(head + 1, head + 1 + random.randint(1, 4))
        payloads = [hashlib.sha256(f"{search_id}/{n}".encode()).digest() * random.choice((1, 100)) for n in group]
        for record in await journal.append(search_id, head, payloads):
            print(search_id, record.sequence, record.chain.hex(), flush=True)
        head = group[-1]

async def main():
    journal = await SqliteJournal.open(Path(sys.argv[1]))
    heads = {head.search_id: head.sequence for head in await journal.heads()}
    print("ready", flush=True)
    await asyncio.gather(*(append(journal, name, heads.get(name, 0)) for name in sys.argv[2:]))

asyncio.run(main())
"""
"""Appends to several searches at once and says what was acknowledged, until it is killed."""


def _run_and_kill(folder: Path, *, seconds: float, least: int) -> list[tuple[str, int, str]]:
    """Return what an appender said was acknowledged before it was killed: search, sequence, chain.

    Args:
        folder: the state folder.
        seconds: to wait before the kill, once it has said enough.
        least: lines that are enough; the first one says that the journal is open.
    """
    command = [sys.executable, "-c", APPENDER, str(folder), *SEARCHES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(least)]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        lines += process.stdout
    words = [line.split() for line in lines if line.endswith("\n") and line != "ready\n"]
    return [(search_id, int(sequence), chain) for search_id, sequence, chain in words]


async def _read_all(folder: Path) -> dict[str, tuple[Record, ...]]:
    journal = await SqliteJournal.open(folder)
    try:
        return {head.search_id: await journal.read(head.search_id, 0, head.sequence) for head in await journal.heads()}
    finally:
        await journal.close()


async def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """25 kills of one growing journal, some while it opens: all that was acknowledged is as it was."""
    acknowledged: dict[tuple[str, int], str] = {}
    for number in range(25):
        least = (0, 1, 2, 11, 11)[number % 5]
        seconds = random.uniform(0.0, 0.1 if least else 0.4)
        said = await asyncio.to_thread(_run_and_kill, tmp_path / "state", seconds=seconds, least=least)
        acknowledged |= {(search_id, sequence): chain for search_id, sequence, chain in said}

        records = await _read_all(tmp_path / "state")

        found = {(record.search_id, record.sequence): record for group in records.values() for record in group}
        assert acknowledged.items() <= {key: record.chain.hex() for key, record in found.items()}.items()
        for (search_id, sequence), record in found.items():
            digest = hashlib.sha256(f"{search_id}/{sequence}".encode()).digest()
            assert record.payload in (digest, digest * 100)
    assert len(acknowledged) > 100


@dataclass(frozen=True)
class Snapshot:
    """The files of a state folder and what they hold."""

    files: dict[str, bytes]
    records: dict[str, tuple[Record, ...]]

    def write(self, folder: Path, **changed: bytes) -> None:
        """Put the files into a folder, some of them changed."""
        folder.mkdir()
        for name, data in (self.files | changed).items():
            (folder / name).write_bytes(data)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def _snapshot(folder: Path, *, checkpoints: bool) -> Snapshot:
    """Make a journal of 60 records, either all in the database or, as after a crash, most of them in the log."""
    for start in (0, 10):
        journal = await SqliteJournal.open(folder)
        for sequence in range(start, 20 if start else 10, 2):
            for search_id in SEARCHES[:3]:
                payloads = [f"{search_id}/{sequence + n} ".encode() * (sequence * 7 % 90) for n in (1, 2)]
                await journal.append(search_id, sequence, payloads)
        files = _files(folder)
        records = {search_id: await journal.read(search_id, 0, 100) for search_id in SEARCHES[:3]}
        await journal.close()
    if checkpoints:
        files = _files(folder)
    return Snapshot(files=files, records=records)


def _spoil(data: bytes, draw: random.Random) -> bytes:
    """Flip a bit or cut the end off."""
    if draw.random() < 0.25:
        return data[: draw.randrange(len(data))]
    spoilt = bytearray(data)
    spoilt[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


@pytest.mark.parametrize(
    ("name", "checkpoints", "least"),
    [
        pytest.param("journal.db", True, 25, id="database"),
        pytest.param("journal.db", False, 0, id="database whose pages are all in the log"),
        pytest.param("journal.db-wal", False, 25, id="log"),
        pytest.param("journal.head", True, 0, id="high-water file"),
        pytest.param("journal.head", False, 0, id="high-water file after a crash"),
    ],
)
async def test_a_damaged_file_is_noticed_or_harmless(tmp_path: Path, name: str, checkpoints: bool, least: int) -> None:
    """50 flips and truncations of each file: an error, or every record as it was; never another history."""
    snapshot = await _snapshot(tmp_path / "state", checkpoints=checkpoints)
    draw = random.Random(name)
    noticed = 0
    for number in range(50):
        folder = tmp_path / str(number)
        snapshot.write(folder, **{name: _spoil(snapshot.files[name], draw)})
        try:
            records = await _read_all(folder)
        except (JournalDamagedError, FutureVersionError, JournalFailedError):
            noticed += 1
        else:
            assert snapshot.records == records
    assert noticed >= least


async def test_a_damaged_log_does_not_pass_for_a_short_one(tmp_path: Path) -> None:
    """Each frame of the log in turn: SQLite would drop it and all after it without a word."""
    snapshot = await _snapshot(tmp_path / "state", checkpoints=False)
    log = snapshot.files["journal.db-wal"]
    frames = range(32, len(log), 24 + 4_096)
    assert len(frames) > 20
    for frame in frames:
        spoilt = bytearray(log)
        spoilt[frame + 24 + 4_000] ^= 4

        snapshot.write(tmp_path / str(frame), **{"journal.db-wal": bytes(spoilt)})

        with pytest.raises(JournalDamagedError, match="were acknowledged"):
            await _read_all(tmp_path / str(frame))
