# SPDX-License-Identifier: Apache-2.0
"""A disk that SQLite finds full or failing whenever a test wants it to."""

from __future__ import annotations

from dataclasses import dataclass

import apsw


@dataclass
class Disk:
    """The faults of a disk under SQLite, and what it has done.

    Attributes:
        vfs: name under which SQLite knows it.
        free_bytes: what may still be written before it is full.
        fails_syncs: whether a sync is an input/output error.
        syncs: syncs of the write-ahead log so far.
    """

    vfs: str
    free_bytes: int = 1 << 40
    fails_syncs: bool = False
    syncs: int = 0


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], disk: Disk) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

    def xWrite(self, data: bytes, offset: int) -> None:
        if len(data) > self._disk.free_bytes:
            raise apsw.FullError("injected")
        self._disk.free_bytes -= len(data)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.fails_syncs:
            raise apsw.IOError("injected")
        self._disk.syncs += self._is_log
        super().xSync(flags)


class FaultyVfs(apsw.VFS):
    """The operating system's file system with the faults of a disk; unregister it when done."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.vfs, "")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(name, flags, self._disk)
