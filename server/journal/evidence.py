# SPDX-License-Identifier: Apache-2.0
"""A file system through which SQLite reads a journal and changes nothing: whatever is wrong with it is evidence.

A query is not harmless by itself. SQLite deletes a write-ahead log beside an empty database and rolls a transaction
back that a crash cut short, both before the first row is read. Here such a step is an error that says so.
"""

from __future__ import annotations

import functools
import os
from typing import Final, NoReturn

import apsw

_NAME: Final = "nas-evidence"
_WRITING: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_KEPT: Final = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
"""Files of a journal; any other is SQLite's own scratch."""


@functools.cache
def evidence_vfs() -> str:
    """Return the name of the file system, registering it first; SQLite keeps it for ever."""
    _Evidence.instance = _Evidence(_NAME, "")
    return _NAME


class _File(apsw.VFSFile):
    def xWrite(self, data: bytes, offset: int) -> NoReturn:
        _refuse()

    def xTruncate(self, newsize: int) -> NoReturn:
        _refuse()

    def xSync(self, flags: int) -> None:
        """Do nothing: there is nothing to sync."""

    def xLock(self, level: int) -> None:
        """Do nothing: whoever uses this holds the folder's lock, and a read-only file cannot be locked."""

    def xUnlock(self, level: int) -> None:
        """Do nothing, as ``xLock``."""

    def xCheckReservedLock(self) -> bool:
        """Say that nobody else has the file."""
        return False


class _Evidence(apsw.VFS):
    instance: _Evidence

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if not flags[0] & _KEPT:
            return apsw.VFSFile("", name, flags)
        if flags[0] & apsw.SQLITE_OPEN_CREATE and not os.path.exists(_path(name)):
            name = os.devnull  # the log of a database that was copied without it is empty
        flags[0] = flags[0] & ~_WRITING | apsw.SQLITE_OPEN_READONLY
        return _File("", name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> NoReturn:
        _refuse()


def _path(name: str | apsw.URIFilename | None) -> str:
    return name.filename() if isinstance(name, apsw.URIFilename) else name or ""


def _refuse() -> NoReturn:
    raise apsw.ReadOnlyError("reading it would mean changing it first")
