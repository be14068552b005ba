# SPDX-License-Identifier: Apache-2.0
"""What only a journal on a disk can get wrong: the folder, the lock, reopening, full and failing disks, a huge log."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from faulty_disk import Disk, FaultyVfs

from server.journal.base import (
    Head,
    JournalFailedError,
    JournalFullError,
    JournalMissingError,
    JournalReadOnlyError,
    StateLockedError,
)
from server.journal.sqlite import SqliteJournal


@contextlib.asynccontextmanager
async def _opened(folder: Path, vfs: str | None = None) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(folder, vfs=vfs)
    try:
        yield journal
    finally:
        with contextlib.suppress(JournalFailedError):
            await journal.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk on which SQLite's files can be made to fail; the operating system's otherwise."""
    disk = Disk(vfs=f"faulty-{tmp_path.name}")
    vfs = FaultyVfs(disk)
    yield disk
    vfs.unregister()


async def test_records_outlive_the_process(tmp_path: Path) -> None:
    """Reopening finds the same records, and the next one goes on with the same numbers and the same chain."""
    async with _opened(tmp_path / "state") as journal:
        await journal.append("b", 0, [b"1", b"2"])
        await journal.append("a", 0, [b"3"])
        before = await journal.read("b", 0, 10)
    async with _opened(tmp_path / "whole") as journal:
        await journal.append("b", 0, [b"1", b"2"])
        await journal.append("a", 0, [b"3"])
        expected = await journal.append("b", 2, [b"4"])

    async with _opened(tmp_path / "state") as journal:
        assert (Head(search_id="b", sequence=2), Head(search_id="a", sequence=1)) == await journal.heads()
        assert before == await journal.read("b", 0, 10)
        assert expected == await journal.append("b", 2, [b"4"])


async def test_only_the_owner_may_look(tmp_path: Path) -> None:
    """Whatever the umask allows, the folder has mode 0700 and each file 0600."""
    umask = os.umask(0)
    try:
        async with _opened(tmp_path / "deep/state") as journal:
            await journal.append("a", 0, [b"x"])
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep/state").iterdir()}
    finally:
        os.umask(umask)

    names = ("journal.db", "journal.db-wal", "journal.head", "journal.lock")
    assert dict.fromkeys(names, 0o600) == modes
    assert 0o700 == (tmp_path / "deep/state").stat().st_mode & 0o777


async def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    """A second opening, for writing or inspection, is refused until the first is closed."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x"])
        for opening in (SqliteJournal.open(tmp_path), SqliteJournal.inspect(tmp_path)):
            with pytest.raises(StateLockedError) as caught:
                await opening
            assert tmp_path == caught.value.state_dir

    async with _opened(tmp_path) as journal:
        assert (Head(search_id="a", sequence=1),) == await journal.heads()


def _hold_the_loop_until(path: Path) -> None:
    """Wait for a file that another thread makes without letting any task of this one go on."""
    while not path.exists():
        pass


async def test_an_opening_that_was_cancelled_lets_go(tmp_path: Path) -> None:
    """Nobody is left who could close it, so it closes itself."""
    task = asyncio.create_task(SqliteJournal.open(tmp_path))
    await asyncio.sleep(0)
    _hold_the_loop_until(tmp_path / "journal.db")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(StateLockedError):
                await (await SqliteJournal.open(tmp_path)).close()
                break


async def test_inspection_changes_nothing(tmp_path: Path) -> None:
    """A crashed server's folder, log and all, can be read and is the same afterwards, byte for byte."""
    async with _opened(tmp_path / "state") as journal:
        expected = await journal.append("a", 0, [b"x", b"y"])
        crashed = _files(tmp_path / "state")
    (tmp_path / "crashed").mkdir()
    for name, data in crashed.items():
        (tmp_path / "crashed" / name).write_bytes(data)

    journal = await SqliteJournal.inspect(tmp_path / "crashed")

    assert expected == await journal.read("a", 0, 10)
    with pytest.raises(JournalReadOnlyError):
        await journal.append("a", 2, [b"z"])
    await journal.close()
    assert crashed == _files(tmp_path / "crashed")
    assert crashed["journal.db-wal"]


async def test_inspecting_nothing_makes_nothing(tmp_path: Path) -> None:
    """A folder without a journal is named, and stays empty."""
    with pytest.raises(JournalMissingError) as caught:
        await SqliteJournal.inspect(tmp_path)

    assert tmp_path == caught.value.state_dir
    assert {} == _files(tmp_path)


async def test_requests_share_their_syncs(tmp_path: Path, disk: Disk) -> None:
    """A hundred appends at once need a few transactions, and one after the other a hundred."""
    async with _opened(tmp_path / "state", disk.vfs) as journal:
        start = disk.syncs
        await asyncio.gather(*(journal.append(f"search-{index}", 0, [b"x"]) for index in range(100)))
        together = disk.syncs - start
        for index in range(100):
            await journal.append(f"search-{index}", 1, [b"x"])

    assert together < 20
    assert disk.syncs - start - together >= 100


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path, disk: Disk) -> None:
    """Nothing of a refused append is there, reads go on, and once there is space appends do."""
    async with _opened(tmp_path / "state", disk.vfs) as journal:
        before = await journal.append("a", 0, [b"x"])
        for free_bytes in (0, 5_000, 50_000):
            disk.free_bytes = free_bytes
            outcomes = await asyncio.gather(
                *(journal.append(search_id, sequence, [b"y" * 60_000]) for search_id, sequence in (("a", 1), ("b", 0))),
                return_exceptions=True,
            )
            assert [JournalFullError] * 2 == [type(outcome) for outcome in outcomes]
        assert before == await journal.read("a", 0, 10)
        assert (Head(search_id="a", sequence=1),) == await journal.heads()
        disk.free_bytes = 1 << 40
        after = await journal.append("a", 1, [b"z"])

    async with _opened(tmp_path / "state") as journal:
        assert before + after == await journal.read("a", 0, 10)


async def test_no_space_to_begin_with(tmp_path: Path, disk: Disk) -> None:
    """A journal that cannot be created for want of space says so, and can be created later."""
    disk.free_bytes = 4_096
    with pytest.raises(JournalFullError):
        await SqliteJournal.open(tmp_path, vfs=disk.vfs)

    disk.free_bytes = 1 << 40
    async with _opened(tmp_path, disk.vfs) as journal:
        assert 1 == len(await journal.append("a", 0, [b"x"]))


async def test_a_full_disk_may_put_off_the_checkpoint(tmp_path: Path, disk: Disk) -> None:
    """Closing where the log cannot be moved into the database leaves the log, and nothing is lost."""
    journal = await SqliteJournal.open(tmp_path, vfs=disk.vfs)
    expected = await journal.append("a", 0, [b"x" * 100_000])
    disk.free_bytes = 0
    await journal.close()
    assert (tmp_path / "journal.db-wal").stat().st_size > 100_000

    disk.free_bytes = 1 << 40
    async with _opened(tmp_path, disk.vfs) as journal:
        assert expected == await journal.read("a", 0, 10)


async def test_a_failed_sync_is_final(tmp_path: Path, disk: Disk) -> None:
    """Nothing is accepted after it, however well the disk seems; reopening finds all that was acknowledged."""
    journal = await SqliteJournal.open(tmp_path / "state", vfs=disk.vfs)
    expected = await journal.append("a", 0, [b"x"])
    disk.fails_syncs = True
    with pytest.raises(JournalFailedError, match="injected"):
        await journal.append("a", 1, [b"y"])

    disk.fails_syncs = False

    for call in (journal.append("a", 1, [b"y"]), journal.read("a", 0, 1), journal.heads()):
        with pytest.raises(JournalFailedError, match="injected"):
            await call
    await journal.close()
    async with _opened(tmp_path / "state") as journal:
        assert expected == (await journal.read("a", 0, 1))


async def test_a_failed_checkpoint_is_final(tmp_path: Path, disk: Disk) -> None:
    """A sync that fails while the log is emptied is reported, and the log is still there."""
    journal = await SqliteJournal.open(tmp_path / "state", vfs=disk.vfs)
    expected = await journal.append("a", 0, [b"x"])
    disk.fails_syncs = True

    with pytest.raises(JournalFailedError, match="injected"):
        await journal.close()

    disk.fails_syncs = False
    async with _opened(tmp_path / "state") as journal:
        assert expected == await journal.read("a", 0, 10)


def _replace_under(path: Path, device: str) -> None:
    """Make this process's open file ``path`` a device."""
    links = [(int(link.name), link) for link in Path("/proc/self/fd").iterdir()]
    (descriptor,) = [number for number, link in links if link.exists() and link.resolve() == path]
    replacement = os.open(device, os.O_RDWR)
    os.dup2(replacement, descriptor)
    os.close(replacement)


@pytest.mark.parametrize(("device", "reason"), [("/dev/full", "No space left"), ("/dev/null", "Invalid argument")])
async def test_a_mark_that_cannot_be_written_is_final(tmp_path: Path, device: str, reason: str) -> None:
    """Where its write (full) or its sync (null) fails: committed, not acknowledged, and shown by the next opening."""
    journal = await SqliteJournal.open(tmp_path)
    await journal.append("a", 0, [b"x"])
    _replace_under(tmp_path / "journal.head", device)

    for _ in range(2):
        with pytest.raises(JournalFailedError, match=reason):
            await journal.append("a", 1, [b"y"])
    await journal.close()

    async with _opened(tmp_path) as journal:
        assert [b"x", b"y"] == [record.payload for record in await journal.read("a", 0, 10)]


async def test_the_mark_has_its_space_from_the_start(tmp_path: Path) -> None:
    """Both slots are on the disk before the first record: a full disk cannot come between a commit and its mark."""
    async with _opened(tmp_path) as journal:
        before = (tmp_path / "journal.head").stat()
        await journal.append("a", 0, [b"x"])
        await journal.append("a", 1, [b"x"])
        after = (tmp_path / "journal.head").stat()

    assert (8192, before.st_blocks) == (after.st_size, after.st_blocks)
    assert before.st_blocks * 512 >= 8192


async def test_the_log_stays_small(tmp_path: Path) -> None:
    """40 MB of records pass through a log of less than 8, which is empty after closing."""
    log = tmp_path / "journal.db-wal"
    sizes = []
    async with _opened(tmp_path) as journal:
        for sequence in range(0, 400, 10):
            await journal.append("a", sequence, [os.urandom(100_000)] * 10)
            sizes.append(log.stat().st_size)

    assert max(sizes) < 8_000_000
    assert 0 == log.stat().st_size
    assert (tmp_path / "journal.db").stat().st_size > 40_000_000
