# SPDX-License-Identifier: Apache-2.0
"""How far the journal was acknowledged, kept outside the database.

SQLite takes the first damaged frame of its write-ahead log for the log's end and drops the rest without an error.
Whatever shortens the database, this file still knows the position and the chain of the last acknowledged record.

Two slots, each in a block of its own, are written in turn. A write that is torn by a power cut leaves the mark before
it; by then no caller was told about the new one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DOMAIN: Final = b"seib-nas journal head v1\0"
_MAGIC: Final = b"NASHEAD1"
_BODY: Final = struct.Struct(">8sQ32s")
_BLOCK_BYTES: Final = 4096
_SLOTS: Final = 2

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The end of the journal: how many records all searches have together, and the chain after the last."""

    position: int
    chain: bytes


def read_slots(path: Path) -> tuple[Mark | None, ...]:
    """Return the mark in each slot, ``None`` for a slot that is unreadable or was never written.

    Raises:
        OSError: the file exists and cannot be read.
    """
    data = b""
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
    return tuple(_parse(data[slot * _BLOCK_BYTES : (slot + 1) * _BLOCK_BYTES]) for slot in range(_SLOTS))


class HighWater:
    """The open file; one thread uses it."""

    def __init__(self, path: Path, mark: Mark) -> None:
        """Open the file, or create it, and make it say ``mark`` in both slots if it does not.

        Raises:
            OSError: the file cannot be opened or written.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            slots = read_slots(path)
            if None in slots:
                self._allocate()
            # The older slot first: the newer one holds until its successor is durable.
            for slot, found in sorted(enumerate(slots), key=lambda item: item[1].position if item[1] else -1):
                self._next = slot
                if found != mark:
                    self.write(mark)
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, mark: Mark) -> None:
        """Make ``mark`` durable in the older of the two slots.

        Raises:
            OSError: the write or the sync failed; the mark before may or may not have been replaced.
        """
        body = _BODY.pack(_MAGIC, mark.position, mark.chain)
        slot = body + _checksum(body)
        if os.pwrite(self._fd, slot, self._next * _BLOCK_BYTES) != len(slot):
            raise OSError(errno.EIO, "the high-water mark was written only in part")
        _sync(self._fd)
        self._next = (self._next + 1) % _SLOTS

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _allocate(self) -> None:
        # Zeros are written, so that the disk allocates the blocks now. A full disk can then fail only the creation of
        # this file, not the write between a commit and its mark, when records could be neither acknowledged nor undone.
        size = os.fstat(self._fd).st_size
        missing = _SLOTS * _BLOCK_BYTES - size
        if missing > 0 and os.pwrite(self._fd, bytes(missing), size) != missing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._fd)


def _parse(block: bytes) -> Mark | None:
    body, checksum = block[: _BODY.size], block[_BODY.size : _BODY.size + 32]
    if len(body) < _BODY.size or checksum != _checksum(body):
        return None
    magic, position, chain = _BODY.unpack(body)
    return Mark(position=position, chain=chain) if magic == _MAGIC else None


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + body).digest()
