# SPDX-License-Identifier: Apache-2.0
"""Opening a state folder: lock it, prove every record, compare their end with what was acknowledged; only then write.

journal.lock        locked as long as the journal is open; its content means nothing
journal.db, -wal    the records
journal.head        how far they were acknowledged
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw

from nas.durable import sync_folder
from server.journal import database
from server.journal.base import (
    JournalDamagedError,
    JournalFailedError,
    JournalFullError,
    JournalMissingError,
    StateLockedError,
)
from server.journal.evidence import evidence_vfs
from server.journal.high_water import HighWater, Mark, read_slots
from server.journal.store import JournalStore

DATABASE: Final = "journal.db"
LOG: Final = "journal.db-wal"
HIGH_WATER: Final = "journal.head"
_LOCK: Final = "journal.lock"
_ROLLBACK: Final = "journal.db-journal"  # there only while the database is created; later transactions use the log


def open_store(state_dir: Path, *, vfs: str | None = None) -> JournalStore:
    """Open the journal in a folder; create both where there is none.

    Args:
        state_dir: created with mode 0700, its files with 0600.
        vfs: name of the SQLite file system to use, ``None`` for the operating system's.

    Raises:
        StateLockedError, JournalDamagedError, FutureVersionError, JournalFullError, JournalFailedError: see there.
        OSError: the folder or a file in it cannot be created or opened.
    """
    path = state_dir / DATABASE
    with _translated(path), ExitStack() as stack:
        folders = _folders_of_names(state_dir)
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(lock(state_dir, creates=True))
        acknowledged = newest(read_slots(state_dir / HIGH_WATER))
        if _is_empty(path):
            require_new(state_dir, acknowledged)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = stack.enter_context(contextlib.closing(database.connect(path, is_read_only=False, vfs=vfs)))
        version = database.schema_version(connection, path)
        contents = prove(connection, path, version, acknowledged)
        database.migrate(connection, version)
        high_water = stack.enter_context(contextlib.closing(HighWater(state_dir / HIGH_WATER, contents.mark)))
        for folder in folders:
            with contextlib.suppress(PermissionError):  # a parent that we may enter and not read existed before
                sync_folder(folder)
        return JournalStore(
            path, connection=connection, contents=contents, high_water=high_water, resources=stack.pop_all()
        )


def inspect_store(state_dir: Path) -> JournalStore:
    """Open the journal in the folder of a stopped server without changing anything in it.

    Raises:
        JournalMissingError: there is none.
        StateLockedError, JournalDamagedError, FutureVersionError, JournalFailedError: see there.
        OSError: a file cannot be opened.
    """
    require_journal(state_dir)
    path = state_dir / DATABASE
    with _translated(path), ExitStack() as stack:
        stack.enter_context(lock(state_dir, creates=False))
        acknowledged = newest(read_slots(state_dir / HIGH_WATER))
        if is_unfinished(state_dir):
            require_new(state_dir, acknowledged)
            raise JournalMissingError(state_dir)
        connection = database.connect(path, is_read_only=True, vfs=evidence_vfs())
        stack.enter_context(contextlib.closing(connection))
        version = database.schema_version(connection, path)
        contents = prove(connection, path, version, acknowledged)
        return JournalStore(path, connection=connection, contents=contents, high_water=None, resources=stack.pop_all())


def require_journal(state_dir: Path) -> None:
    """Refuse a folder in which no server was ever started.

    Raises:
        JournalMissingError: none of the journal's files is there, except perhaps its lock.
    """
    if not any((state_dir / name).exists() for name in (DATABASE, LOG, HIGH_WATER)):
        raise JournalMissingError(state_dir)


@contextlib.contextmanager
def lock(state_dir: Path, *, creates: bool) -> Iterator[None]:
    """Hold the lock of the folder for the length of the ``with`` block.

    Args:
        state_dir: the folder.
        creates: whether to make the lock file where it is missing. If it is missing, no server has the folder open.

    Raises:
        StateLockedError: another process has it.
        OSError: the file cannot be opened.
    """
    # The descriptor is not inherited by the processes we start, so the lock ends with this process, however it ends.
    flags = os.O_RDWR | os.O_CREAT if creates else os.O_RDONLY
    try:
        descriptor = os.open(state_dir / _LOCK, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if creates:
            raise
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateLockedError(state_dir) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.FullError as error:
        raise JournalFullError(path) from error
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
        raise JournalDamagedError(path, str(error)) from error
    except apsw.Error as error:
        raise JournalFailedError(path, str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise JournalFullError(path) from error
        raise


def newest(slots: Iterable[Mark | None]) -> Mark | None:
    """Return how far the journal was acknowledged, ``None`` if no slot says so."""
    return max((mark for mark in slots if mark), key=lambda mark: mark.position, default=None)


def is_unfinished(state_dir: Path) -> bool:
    """Tell whether the creation of the database was cut short: it has no first page yet, or one to be rolled back."""
    return _is_empty(state_dir / DATABASE) or not _is_empty(state_dir / _ROLLBACK)


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def require_new(state_dir: Path, acknowledged: Mark | None) -> None:
    """Accept a missing or empty database only where nothing was ever written to it.

    Raises:
        JournalDamagedError: there were records.
    """
    path = state_dir / DATABASE
    what = "is missing" if not path.exists() else "is empty" if _is_empty(path) else "was never finished"
    if acknowledged and acknowledged.position:
        raise JournalDamagedError(path, f"{DATABASE} {what}, and {acknowledged.position} records were acknowledged")
    # SQLite makes the log after the database has its first page, and would now delete it.
    if not _is_empty(state_dir / LOG):
        raise JournalDamagedError(path, f"{DATABASE} {what}, and its write-ahead log is not")


def prove(connection: apsw.Connection, path: Path, version: int, acknowledged: Mark | None) -> database.Contents:
    """Walk the database, have SQLite check its pages, and compare the end with the high-water mark.

    Raises:
        JournalDamagedError: acknowledged records are gone or altered.
    """
    contents = database.Contents()
    if version:
        contents = database.walk(connection, path, remember=acknowledged.position if acknowledged else 0)
        database.check_pages(connection, path, contents)
    require_acknowledged(contents, path, acknowledged)
    return contents


def require_acknowledged(contents: database.Contents, path: Path, acknowledged: Mark | None) -> None:
    """Compare the end of a walk that remembered the chain at the high-water mark with that mark.

    Raises:
        JournalDamagedError: acknowledged records are gone, or other records stand in their place.
    """
    position = acknowledged.position if acknowledged else 0
    end = contents.mark.position
    if acknowledged is None:
        if end:
            raise contents.damaged(path, f"{HIGH_WATER} is missing or unreadable")
    elif end < position:
        raise contents.damaged(path, f"the records end at position {end}, and {position} were acknowledged")
    elif position and contents.witness != acknowledged.chain:
        reason = f"the records up to position {position} are not those that were acknowledged"
        raise JournalDamagedError(path, reason)


def _folders_of_names(state_dir: Path) -> tuple[Path, ...]:
    """Return the folders to sync: the state folder, its parent, and the parent of each folder that is made on the way.

    A file is as durable as the name of every folder that leads to it.
    """
    made = [folder for folder in state_dir.parents if not folder.exists()]
    return state_dir, state_dir.parent, *(folder.parent for folder in made)
