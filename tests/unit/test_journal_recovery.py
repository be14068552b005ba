# SPDX-License-Identifier: Apache-2.0
"""What a state folder may look like when a journal is opened: unfinished, lagging, forged, incomplete, too new."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from server.journal.base import FutureVersionError, JournalDamagedError, JournalMissingError
from server.journal.high_water import read_slots
from server.journal.recovery import open_store
from server.journal.sqlite import SqliteJournal


@contextlib.asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(folder)
    yield journal
    await journal.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    """What a newer server wrote is neither read nor changed, and both versions are named."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x"])
    with contextlib.closing(apsw.Connection(str(tmp_path / "journal.db"))) as connection:
        connection.pragma("user_version", 2)
    before = _files(tmp_path)

    with pytest.raises(FutureVersionError) as caught:
        await SqliteJournal.open(tmp_path)

    assert (2, 1) == (caught.value.found, caught.value.supported)
    assert before["journal.db"] == _files(tmp_path)["journal.db"]


@pytest.mark.parametrize("left", [("journal.db",), ("journal.head",), ("journal.db", "journal.head"), ()])
async def test_a_creation_that_was_cut_short_is_finished(tmp_path: Path, left: tuple[str, ...]) -> None:
    """As long as there was no record, any of the files may be missing or empty."""
    for name in left:
        (tmp_path / name).touch()

    async with _opened(tmp_path) as journal:
        assert 1 == len(await journal.append("a", 0, [b"x"]))


async def test_unacknowledged_records_are_kept(tmp_path: Path) -> None:
    """A high-water file that lags behind the database, or has one bad slot, is brought up to date."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x"])
        early = (tmp_path / "journal.head").read_bytes()
        expected = await journal.append("a", 1, [b"y", b"z"])
    late = (tmp_path / "journal.head").read_bytes()

    for head in (early, bytes(4096) + early[4096:], early[:4096], late[:4096] + bytes(4096)):
        (tmp_path / "journal.head").write_bytes(head)
        async with _opened(tmp_path) as journal:
            assert expected == await journal.read("a", 1, 10)
        slots = (tmp_path / "journal.head").read_bytes()
        assert slots[:4096].rstrip(b"\0") == slots[4096:].rstrip(b"\0") == late[4096:].rstrip(b"\0")


def _rewrite(path: Path, sql: str) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute(sql)


@pytest.mark.parametrize(
    ("sql", "last_good", "reason"),
    [
        ("UPDATE event SET payload = x'00' WHERE position = 3", (2, "b", 1), "position 3 was altered"),
        ("UPDATE event SET chain = zeroblob(32) WHERE position = 1", (0, "", 0), "position 1 was altered"),
        ("DELETE FROM event WHERE position = 4", (3, "a", 2), "the records end at position 3, and 4 were acknowledged"),
        ("DELETE FROM event WHERE position = 2", (1, "a", 1), "position 2 is missing"),
        ("DELETE FROM event", (0, "", 0), "the records end at position 0, and 4 were"),
        ("UPDATE event SET search_id = 'c' WHERE position = 4", (3, "a", 2), "position 4 is missing or out of place"),
        ("UPDATE event SET position = 5 WHERE position = 4", (3, "a", 2), "position 4 is missing or out of place"),
        ("DROP TABLE event", (0, "", 0), "schema version 1 does not go with its tables"),
        ("PRAGMA user_version = 0", (0, "", 0), "schema version 0 does not go with its tables"),
        ("PRAGMA application_id = 1", (0, "", 0), "not a journal"),
    ],
)
async def test_a_forged_database_is_refused(
    tmp_path: Path, sql: str, last_good: tuple[int, str, int], reason: str
) -> None:
    """SQLite finds nothing wrong with it; the chain and the high-water mark do, and the last good record is named."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"1"])
        await journal.append("b", 0, [b"2"])
        await journal.append("a", 1, [b"3", b"4"])
    _rewrite(tmp_path / "journal.db", sql)

    with pytest.raises(JournalDamagedError, match=reason) as caught:
        await SqliteJournal.open(tmp_path)

    error = caught.value
    assert last_good == (error.position, error.search_id, error.sequence)
    assert tmp_path / "journal.db" == error.path


@pytest.mark.parametrize("damage", [b"`", b"\n", b"\x1b", b"\xff", b"\0"])
async def test_what_sqlite_quotes_is_shown_in_one_line(tmp_path: Path, damage: bytes) -> None:
    """A damaged description of the tables is part of SQLite's message, line breaks and control characters included."""
    async with _opened(tmp_path):
        pass
    content = bytearray((tmp_path / "journal.db").read_bytes())
    place = content.index(b"INTEGER")
    content[place : place + 1] = damage
    (tmp_path / "journal.db").write_bytes(content)

    with pytest.raises(JournalDamagedError) as caught:
        await SqliteJournal.open(tmp_path)

    assert str(caught.value).isprintable()
    assert "nas-server doctor" in str(caught.value)


async def test_a_bad_index_is_refused(tmp_path: Path) -> None:
    """Every record can be read by it and it is wrong all the same: a later append would meet what is not there."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x" * 100] * 40)
    with contextlib.closing(apsw.Connection(str(tmp_path / "journal.db"))) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_event_1'"
        start = 4096 * (connection.execute(sql).get - 1)
    content = bytearray((tmp_path / "journal.db").read_bytes())
    place = content.index(b"\x14a\x14", start, start + 4096)  # the entry of position 20, search a, sequence 20
    content[place] = 99
    (tmp_path / "journal.db").write_bytes(content)

    with pytest.raises(JournalDamagedError, match=r"missing|altered"):
        await SqliteJournal.open(tmp_path)


async def test_the_mark_before_is_never_overwritten(tmp_path: Path) -> None:
    """The slots are written in turn: whatever a power cut does to one, the other still says where the end was."""
    positions = []
    async with _opened(tmp_path) as journal:
        for sequence in range(4):
            await journal.append("a", sequence, [b"x"])
            positions.append([mark and mark.position for mark in read_slots(tmp_path / "journal.head")])

    assert [{0, 1}, {1, 2}, {2, 3}, {3, 4}] == [set(pair) for pair in positions]


@pytest.mark.parametrize("length", [3, 5])
async def test_another_history_is_refused(tmp_path: Path, length: int) -> None:
    """A database whose own chain holds, but which is not the one that was acknowledged."""
    for folder, payload, records in (("ours", b"x", 3), ("other", b"y", length)):
        async with _opened(tmp_path / folder) as journal:
            await journal.append("a", 0, [payload] * records)
    (tmp_path / "other/journal.db").replace(tmp_path / "ours/journal.db")

    with pytest.raises(JournalDamagedError, match="not those that were acknowledged"):
        await SqliteJournal.open(tmp_path / "ours")


@pytest.mark.parametrize("opening", [SqliteJournal.open, SqliteJournal.inspect])
@pytest.mark.parametrize("name", ["journal.db", "journal.head"])
async def test_a_missing_file_is_damage(
    tmp_path: Path, name: str, opening: Callable[[Path], Awaitable[SqliteJournal]]
) -> None:
    """Neither the records nor their high-water mark can go without the other, and nothing is made in their place."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x"])
    (tmp_path / name).unlink()
    before = _files(tmp_path)

    with pytest.raises(JournalDamagedError, match="missing"):
        await opening(tmp_path)

    assert before == _files(tmp_path)


@pytest.mark.parametrize("opening", [SqliteJournal.open, SqliteJournal.inspect])
@pytest.mark.parametrize("left", [("journal.db-wal",), ("journal.db-wal", "journal.head")])
@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
async def test_a_log_outlives_its_database(
    tmp_path: Path,
    left: tuple[str, ...],
    is_there: bool,
    opening: Callable[[Path], Awaitable[SqliteJournal]],
) -> None:
    """SQLite deletes the log beside an empty database; the records in it are damage, not a new beginning."""
    async with _opened(tmp_path / "state") as journal:
        await journal.append("a", 0, [b"x"])
        crashed = _files(tmp_path / "state")
    (tmp_path / "crashed").mkdir()
    for name in left:
        (tmp_path / "crashed" / name).write_bytes(crashed[name])
    if is_there:
        (tmp_path / "crashed/journal.db").touch()

    with pytest.raises(JournalDamagedError, match=r"journal.db is (empty|missing), and"):
        await opening(tmp_path / "crashed")

    assert crashed["journal.db-wal"] == (tmp_path / "crashed/journal.db-wal").read_bytes()


async def test_inspection_writes_nothing_at_all(tmp_path: Path) -> None:
    """It makes neither the lock nor the log where they are missing, and deletes nothing that SQLite would."""
    async with _opened(tmp_path) as journal:
        expected = await journal.append("a", 0, [b"x"])
    (tmp_path / "journal.lock").unlink()
    (tmp_path / "journal.db-wal").unlink()
    before = _files(tmp_path)

    inspected = await SqliteJournal.inspect(tmp_path)
    records = await inspected.read("a", 0, 10)
    await inspected.close()

    assert expected == records
    assert before == _files(tmp_path)


async def test_a_transaction_that_was_cut_short_is_not_rolled_back(tmp_path: Path) -> None:
    """While the database is made there is a rollback journal; a look at it is refused, and a server finishes it."""
    async with _opened(tmp_path):
        pass
    (tmp_path / "journal.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))
    before = _files(tmp_path)

    with pytest.raises(JournalMissingError):
        await SqliteJournal.inspect(tmp_path)

    assert before == _files(tmp_path)
    async with _opened(tmp_path) as journal:
        assert 1 == len(await journal.append("a", 0, [b"x"]))


async def test_a_refused_folder_can_be_looked_at_again(tmp_path: Path) -> None:
    """Damage changes nothing, the readable part of the log included, and leaves no lock behind."""
    async with _opened(tmp_path / "state") as journal:
        for sequence in range(10):
            await journal.append("a", sequence, [b"x" * 3_000])
        crashed = _files(tmp_path / "state")
    log = bytearray(crashed["journal.db-wal"])
    log[len(log) // 2] ^= 1
    crashed["journal.db-wal"] = bytes(log)
    (tmp_path / "crashed").mkdir()
    for name, data in crashed.items():
        (tmp_path / "crashed" / name).write_bytes(data)

    for _ in range(2):
        with pytest.raises(JournalDamagedError, match="and 10 were acknowledged") as caught:
            await SqliteJournal.open(tmp_path / "crashed")

        assert 0 < caught.value.sequence < 10
        assert crashed == _files(tmp_path / "crashed")


async def test_a_read_that_finds_less_says_so(tmp_path: Path) -> None:
    """Rows that vanish under a running server are damage, not an empty answer."""
    async with _opened(tmp_path) as journal:
        await journal.append("a", 0, [b"x", b"y"])
    store = open_store(tmp_path)
    store._connection.execute("DELETE FROM event WHERE sequence = 1")

    with pytest.raises(JournalDamagedError, match="up to sequence 2 are missing"):
        store.read("a", 0, 10)

    store.close()
