# SPDX-License-Identifier: Apache-2.0
"""The SQLite database of the journal: its schema, its settings and the walk that proves every record.

WAL with ``synchronous=FULL`` makes a commit durable when it returns. ``locking_mode=EXCLUSIVE``, set before the log is
first touched, keeps the log's index on the heap: no shared memory, and no second connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from server.crash_points import reach
from server.journal.base import FutureVersionError, JournalDamagedError
from server.journal.chain import GENESIS, link
from server.journal.high_water import Mark

Row = tuple[int, str, int, bytes, bytes]
"""position, search_id, sequence, payload, chain."""

APPLICATION_ID: Final = int.from_bytes(b"NASJ", "big")
"""Stands in the header of the file, by which ``file`` and the server recognise a journal."""

# Clustered by the key, so the walk in the order of positions looks every record up as a later read will.
MIGRATIONS: Final = (
    """
    CREATE TABLE event (
        position INTEGER NOT NULL UNIQUE,
        search_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        payload BLOB NOT NULL,
        chain BLOB NOT NULL,
        PRIMARY KEY (search_id, sequence)
    ) STRICT, WITHOUT ROWID
    """,
)
"""From schema version n to n + 1, forward only; never edit one that was released."""

_TABLES: Final = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
ROW_TYPES: Final = (int, str, int, bytes, bytes)


@dataclass(slots=True)
class Contents:
    """What a walk over the database found.

    Attributes:
        mark: where the chain ends.
        heads: sequence of the last record of each search, in the order of their first records.
        last: search of the last record, empty if there is none.
        witness: the chain at the position that the walk was asked to remember, ``None`` before it.
    """

    mark: Mark = Mark(position=0, chain=GENESIS)  # noqa: RUF009 - frozen
    heads: dict[str, int] = field(default_factory=dict)
    last: str = ""
    witness: bytes | None = None

    def damaged(self, path: Path, reason: str) -> JournalDamagedError:
        """Return the error that names the last record of this walk as the last good one."""
        sequence = self.heads.get(self.last, 0)
        return JournalDamagedError(path, reason, position=self.mark.position, search_id=self.last, sequence=sequence)


def connect(path: Path, *, is_read_only: bool, vfs: str | None = None) -> apsw.Connection:
    """Open the existing file ``path``, which may be empty, without writing to it.

    Args:
        path: the database.
        is_read_only: whether statements that write are to be refused. Only the file system can refuse what SQLite
            writes on its own initiative.
        vfs: name of the SQLite file system to use, ``None`` for the operating system's.

    Raises:
        apsw.Error: SQLite cannot read it.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        # The last connection to close would move a damaged log's readable part into the database and delete the rest,
        # which is the evidence; a sound journal empties its log itself.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", True)  # macOS: through the drive's cache
        connection.pragma("cell_size_check", True)
        connection.pragma("trusted_schema", False)
        connection.pragma("wal_autocheckpoint", 0)  # it would swallow the errors of its fsync
        connection.pragma("query_only", is_read_only)
    except BaseException:
        connection.close(True)
        raise
    return connection


def schema_version(connection: apsw.Connection, path: Path) -> int:
    """Return the schema's version, 0 for an empty file.

    Raises:
        JournalDamagedError: the file is no journal.
        FutureVersionError: it is one of a newer server.
    """
    version = connection.pragma("user_version")
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if not is_empty and connection.pragma("application_id") != APPLICATION_ID:
        raise JournalDamagedError(path, "it is not a journal of this software")
    if version > len(MIGRATIONS):
        raise FutureVersionError(path, version, len(MIGRATIONS))
    if version < 0 or is_empty != (version == 0):
        raise JournalDamagedError(path, f"schema version {version} does not go with its tables")
    return int(version)


def has_first_schema(connection: apsw.Connection) -> bool:
    """Tell whether the tables are those of version 1, whatever the header of the file says."""
    try:
        tables = [" ".join(row[0].split()) for row in connection.execute(_TABLES)]
    except (apsw.Error, UnicodeError):
        return False
    return tables == [" ".join(MIGRATIONS[0].split())]


def migrate(connection: apsw.Connection, version: int) -> None:
    """Bring the schema from ``version`` to the newest, one transaction a step.

    Raises:
        apsw.Error: SQLite cannot write.
    """
    connection.pragma("journal_mode", "wal")
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        with connection:
            connection.execute(migration)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)


def walk(connection: apsw.Connection, path: Path, *, remember: int = 0) -> Contents:
    """Read every record in order and check its numbers and its chain.

    Args:
        connection: to the database.
        path: the database's, for messages.
        remember: position of the record whose chain is kept as the witness.

    Raises:
        JournalDamagedError: a record is missing, altered or unreadable.
    """
    contents = Contents()
    position, chain = contents.mark.position, contents.mark.chain
    try:
        for row in rows(connection):
            search_id, sequence = row[1], contents.heads.get(row[1], 0) + 1
            position += 1
            if tuple(map(type, row)) != ROW_TYPES or (row[0], row[2]) != (position, sequence):
                raise contents.damaged(path, f"the record at position {position} is missing or out of place")
            chain = link(chain, position=position, search_id=search_id, sequence=sequence, payload=row[3])
            if chain != row[4]:
                raise contents.damaged(path, f"the record at position {position} was altered")
            contents.mark = Mark(position=position, chain=chain)
            contents.heads[search_id], contents.last = sequence, search_id
            if position == remember:
                contents.witness = chain
    except (apsw.Error, UnicodeError) as error:
        raise contents.damaged(
            path, f"SQLite cannot read on after position {contents.mark.position}: {error}"
        ) from error
    return contents


def check_pages(connection: apsw.Connection, path: Path, contents: Contents) -> None:
    """Check the pages and the index, which later records will need.

    Args:
        connection: to the database.
        path: the database's, for messages.
        contents: what a walk found, for messages.

    Raises:
        JournalDamagedError: one is damaged or unreadable.
    """
    try:
        pages = connection.pragma("integrity_check", 1)  # quick_check would not hold the index against the table
    except (apsw.Error, UnicodeError) as error:
        raise contents.damaged(path, f"SQLite cannot check its pages: {error}") from error
    if pages != "ok":
        raise contents.damaged(path, f"SQLite's own check says {pages}")


def insert(connection: apsw.Connection, rows: list[Row]) -> None:
    """Commit the rows in one transaction; when this returns they are durable.

    Raises:
        apsw.Error: SQLite could not; the transaction may still be open.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", rows)
    reach("journal.inside_commit")
    connection.execute("COMMIT")


def select(
    connection: apsw.Connection, search_id: str, after_sequence: int, limit: int
) -> list[tuple[int, bytes, bytes]]:
    """Return sequence, payload and chain of up to ``limit`` records of a search, in order.

    Raises:
        apsw.Error: SQLite cannot read.
    """
    sql = "SELECT sequence, payload, chain FROM event WHERE search_id = ? AND sequence > ? ORDER BY sequence LIMIT ?"
    return list(connection.execute(sql, (search_id, after_sequence, limit)))


def rows(connection: apsw.Connection) -> Iterator[Row]:
    """Read every record in the order of positions; each step may raise ``apsw.Error`` or ``UnicodeError``."""
    sql = "SELECT position, search_id, sequence, payload, chain FROM event ORDER BY position"
    return connection.execute(sql)
