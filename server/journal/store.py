# SPDX-License-Identifier: Apache-2.0
"""An open journal as one thread sees it: the database, the high-water file, and the order between them.

A record is acknowledged after its transaction was committed and after the high-water file was moved to it, both synced.
So the database may be ahead of the high-water file by records that nobody was told about, and is never behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from server.crash_points import reach
from server.journal import database
from server.journal.base import (
    Head,
    JournalDamagedError,
    JournalFailedError,
    JournalFullError,
    JournalReadOnlyError,
    Record,
    SequenceConflictError,
)
from server.journal.chain import link
from server.journal.high_water import HighWater, Mark

_WAL_LIMIT_PAGES: Final = 1024
"""Pages of 4 KiB in the write-ahead log from which they are moved into the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One caller's request, see ``Journal.append``."""

    search_id: str
    expected_sequence: int
    payloads: tuple[bytes, ...]

    def __post_init__(self) -> None:
        self.search_id.encode()  # raised here, in the one caller, and not for the whole group


Outcome = tuple[Record, ...] | SequenceConflictError
"""What became of one ``Append`` of a group."""


class JournalStore:
    """The journal for one thread at a time."""

    def __init__(
        self,
        path: Path,
        *,
        connection: apsw.Connection,
        contents: database.Contents,
        high_water: HighWater | None,
        resources: ExitStack,
    ) -> None:
        """Take over what ``server.journal.recovery`` opened and proved.

        Args:
            path: the database's, for messages.
            connection: to the database.
            contents: what is in it.
            high_water: the file that says so; ``None`` if the journal is for inspection only.
            resources: closes all of it.
        """
        self._path = path
        self._connection = connection
        self._high_water = high_water
        self._resources = resources
        self._heads = contents.heads
        self._mark = contents.mark
        self._wal_pages = 0
        self._failure = ""
        connection.set_wal_hook(self._note_wal_pages)

    def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write the requests that fit, in one transaction, and return each one's outcome when all of it is durable.

        A conflict concerns one request; a disk that is full or fails concerns all of them.

        Raises:
            JournalFullError: nothing was written.
            JournalFailedError: see ``Journal.append``.
            JournalReadOnlyError: the journal was opened for inspection.
        """
        self._require_sound()
        if self._high_water is None:
            raise JournalReadOnlyError(self._path)
        heads: dict[str, int] = {}
        rows: list[database.Row] = []
        outcomes = [self._prepare(append, heads, rows) for append in appends]
        if rows:
            self._write(rows, self._high_water)
            self._heads.update(heads)
        return outcomes

    def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        """See ``Journal.read``."""
        self._require_sound()
        last = min(self._heads.get(search_id, 0), after_sequence + limit)
        try:
            rows = database.select(self._connection, search_id, after_sequence, limit)
        except apsw.CorruptError as error:
            raise JournalDamagedError(self._path, str(error)) from error
        except apsw.Error as error:
            raise self.fail(error) from error
        if [sequence for sequence, _, _ in rows] != list(range(after_sequence + 1, last + 1)):
            raise JournalDamagedError(self._path, f"records of search {search_id} up to sequence {last} are missing")
        return tuple(
            Record(search_id=search_id, sequence=sequence, payload=payload, chain=chain)
            for sequence, payload, chain in rows
        )

    def heads(self) -> tuple[Head, ...]:
        """See ``Journal.heads``."""
        self._require_sound()
        return tuple(Head(search_id=search_id, sequence=sequence) for search_id, sequence in self._heads.items())

    def tidy(self, *, limit_pages: int = _WAL_LIMIT_PAGES) -> None:
        """Move the write-ahead log into the database if it has grown to ``limit_pages``.

        A failure is raised by the next call. A full disk is no failure: the records are safe in the log, and the next
        group tries again.
        """
        if self._failure or self._high_water is None or self._wal_pages < limit_pages:
            return
        reach("journal.before_tidy")
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            reach("journal.after_tidy")
            self._wal_pages = 0
        except apsw.FullError:
            return
        except apsw.Error as error:
            self.fail(error)

    def close(self) -> None:
        """Empty the write-ahead log and close all files.

        Raises:
            JournalFailedError: the log could not be emptied just now; acknowledged records are safe regardless.
        """
        had_failed = bool(self._failure)
        self.tidy(limit_pages=0)
        self._resources.close()
        if not had_failed:
            self._require_sound()

    def fail(self, error: Exception) -> JournalFailedError:
        """Refuse everything from now on and return the error that says so."""
        self._failure = self._failure or str(error) or type(error).__name__
        return JournalFailedError(self._path, self._failure)

    def _require_sound(self) -> None:
        if self._failure:
            raise JournalFailedError(self._path, self._failure)

    def _prepare(self, append: Append, heads: dict[str, int], rows: list[database.Row]) -> Outcome:
        """Add the request's rows and its search's new head to those of the group, or say why not."""
        head = heads.get(append.search_id, self._heads.get(append.search_id, 0))
        if append.expected_sequence != head:
            return SequenceConflictError(append.search_id, append.expected_sequence, head)
        records = []
        position, chain = (rows[-1][0], rows[-1][4]) if rows else (self._mark.position, self._mark.chain)
        for sequence, payload in enumerate(append.payloads, start=head + 1):
            position += 1
            chain = link(chain, position=position, search_id=append.search_id, sequence=sequence, payload=payload)
            rows.append((position, append.search_id, sequence, payload, chain))
            records.append(Record(search_id=append.search_id, sequence=sequence, payload=payload, chain=chain))
            heads[append.search_id] = sequence
        return tuple(records)

    def _write(self, rows: list[database.Row], high_water: HighWater) -> None:
        reach("journal.before_commit")
        try:
            database.insert(self._connection, rows)
        except apsw.FullError as error:
            self._roll_back()
            raise JournalFullError(self._path) from error
        except apsw.Error as error:
            raise self.fail(error) from error
        mark = Mark(position=rows[-1][0], chain=rows[-1][4])
        reach("journal.before_mark")
        try:
            high_water.write(mark)
        except OSError as error:
            # Even for ENOSPC, which the preallocated blocks rule out but where the file system copies on write: the
            # records are committed and not acknowledged, and only the next opening can bring the mark forward.
            raise self.fail(error) from error
        self._mark = mark
        reach("journal.after_mark")

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise self.fail(error) from error

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK
