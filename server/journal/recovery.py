# SPDX-License-Identifier: Apache-2.0
"""Opening a state folder: lock it, prove every record, hold them against what was acknowledged; only then write.

journal.lock        locked as long as the journal is open; its content means nothing
journal.db, -wal    the records
journal.head        how far they were acknowledged
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import apsw

from server.journal import database
from server.journal.base import (
    JournalDamagedError,
    JournalFailedError,
    JournalFullError,
    JournalMissingError,
    StateLockedError,
)
from server.journal.high_water import HighWater, Mark, read_slots
from server.journal.store import JournalStore

_DATABASE = "journal.db"
_HIGH_WATER = "journal.head"
_LOCK = "journal.lock"


def open_store(state_dir: Path, *, vfs: str | None = None) -> JournalStore:
    """Open the journal in a folder; create both where there is none.

    Args:
        state_dir: created with mode 0700, its files with 0600.
        vfs: name of the SQLite file system to use, ``None`` for the operating system's.

    Raises:
        StateLockedError, JournalDamagedError, FutureVersionError, JournalFullError, JournalFailedError: see there.
        OSError: the folder or a file in it cannot be created or opened.
    """
    path = state_dir / _DATABASE
    with _translated(path), ExitStack() as stack:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(_lock(state_dir))
        acknowledged = _acknowledged(state_dir)
        if not path.exists():
            _require_new(path, acknowledged)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = stack.enter_context(contextlib.closing(database.connect(path, is_read_only=False, vfs=vfs)))
        version = database.schema_version(connection, path)
        contents = _prove(connection, path, version, acknowledged)
        database.migrate(connection, version)
        high_water = stack.enter_context(contextlib.closing(HighWater(state_dir / _HIGH_WATER, contents.mark)))
        _sync_folder(state_dir)
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
    path = state_dir / _DATABASE
    if not path.exists() and not (state_dir / _HIGH_WATER).exists():
        raise JournalMissingError(state_dir)
    with _translated(path), ExitStack() as stack:
        stack.enter_context(_lock(state_dir))
        acknowledged = _acknowledged(state_dir)
        if not path.exists():
            _require_new(path, acknowledged)
            raise JournalMissingError(state_dir)
        connection = stack.enter_context(contextlib.closing(database.connect(path, is_read_only=True)))
        version = database.schema_version(connection, path)
        contents = _prove(connection, path, version, acknowledged)
        return JournalStore(path, connection=connection, contents=contents, high_water=None, resources=stack.pop_all())


@contextlib.contextmanager
def _lock(state_dir: Path) -> Iterator[None]:
    # The descriptor is not inherited by the processes we start, so the lock ends with this process, however it ends.
    descriptor = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def _acknowledged(state_dir: Path) -> Mark | None:
    marks = [mark for mark in read_slots(state_dir / _HIGH_WATER) if mark]
    return max(marks, key=lambda mark: mark.position, default=None)


def _require_new(path: Path, acknowledged: Mark | None) -> None:
    """Accept a missing database only where nothing was ever acknowledged."""
    if acknowledged and acknowledged.position:
        raise JournalDamagedError(path, f"it is missing, and {acknowledged.position} records were acknowledged")


def _prove(connection: apsw.Connection, path: Path, version: int, acknowledged: Mark | None) -> database.Contents:
    """Walk the database and hold it against the high-water mark."""
    contents = database.walk(connection, path) if version else database.Contents()
    end = contents.mark.position
    if acknowledged is None:
        if end:
            raise contents.damaged(path, f"{_HIGH_WATER} is missing or unreadable")
    elif end < acknowledged.position:
        raise contents.damaged(path, f"it ends at position {end}, and {acknowledged.position} were acknowledged")
    elif acknowledged.position and database.chain_at(connection, acknowledged.position) != acknowledged.chain:
        reason = f"its records up to position {acknowledged.position} are not those that were acknowledged"
        raise JournalDamagedError(path, reason)
    return contents


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
