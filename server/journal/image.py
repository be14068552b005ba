# SPDX-License-Identifier: Apache-2.0
"""The database as its log has it, read past the damage at which SQLite stops.

SQLite takes the first frame of the log that fails its checksum for the log's end. The frames behind it are still there,
and each can be checked by itself: its checksum goes on from the one that is stored before it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_BIG_ENDIAN_MAGIC: Final = 0x377F0683
_PAGE_SIZE: Final = 4096
"""SQLite's default, which the journal never changes."""
_WRITE_VERSION, _READ_VERSION = 18, 19
"""Places in the database's header that say whether there is a log; 1 is no."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """One page in the log.

    Attributes:
        number: of the page, from 1.
        pages: of the database, if the frame ends a transaction, else 0.
        is_sound: whether its checksum holds.
    """

    number: int
    pages: int
    salts: tuple[int, int]
    page: bytes
    is_sound: bool


def read_images(database: Path, log: Path) -> Iterator[apsw.Connection]:
    """Yield the database with every sound page of the log and, where there is one, with the damaged pages as well.

    The first may have old pages among new ones, the second altered ones; only the chain says what of them is true.

    Args:
        database: its file, which may be missing.
        log: its write-ahead log, which may be missing or empty; then nothing is yielded.

    Raises:
        OSError: a file cannot be read.
    """
    base, content = (path.read_bytes() if path.is_file() else b"" for path in (database, log))
    frames = _committed(list(_frames(content)), limit=(len(base) + len(content)) // _PAGE_SIZE + 1)
    sound = [frame for frame in frames if frame.is_sound]
    if sound:
        yield _open(_build(base, sound))
    if len(sound) < len(frames):
        yield _open(_build(base, frames))


def _committed(frames: list[_Frame], limit: int) -> list[_Frame]:
    """Leave out what was left by an older log, what names impossible pages, and a transaction without an end."""
    if not frames:
        return []
    salts = Counter(frame.salts for frame in frames).most_common(1)[0][0]
    usable = [frame for frame in frames if frame.salts == salts and 0 < frame.number <= limit and frame.pages <= limit]
    while usable and not usable[-1].pages:
        usable.pop()
    return usable


def _frames(log: bytes) -> Iterator[_Frame]:
    if len(log) < _HEADER.size:
        return
    magic, *_, first, second = _HEADER.unpack_from(log)
    words = struct.Struct(f"{'>' if magic == _BIG_ENDIAN_MAGIC else '<'}{_PAGE_SIZE // 4 + 2}I")
    before = (first, second)
    for start in range(_HEADER.size, len(log) - _FRAME.size - _PAGE_SIZE + 1, _FRAME.size + _PAGE_SIZE):
        number, pages, salt, other_salt, *stored = _FRAME.unpack_from(log, start)
        page = log[start + _FRAME.size : start + _FRAME.size + _PAGE_SIZE]
        is_sound = _checksum(before, words.unpack(log[start : start + 8] + page)) == tuple(stored)
        yield _Frame(number, pages, (salt, other_salt), page, is_sound)
        before = (stored[0], stored[1])


def _checksum(before: tuple[int, int], words: tuple[int, ...]) -> tuple[int, int]:
    """SQLite's, see section 4.2 of its file format."""
    first, second = before
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second


def _build(database: bytes, frames: list[_Frame]) -> bytes:
    image = bytearray(database)
    for frame in frames:
        end = frame.number * _PAGE_SIZE
        image.extend(bytes(max(0, end - len(image))))
        image[end - _PAGE_SIZE : end] = frame.page
    if frames[-1].pages:
        del image[frames[-1].pages * _PAGE_SIZE :]
    image[_WRITE_VERSION : _READ_VERSION + 1] = b"\1\1"
    return bytes(image)


def _open(image: bytes) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.pragma("cell_size_check", True)
    connection.pragma("trusted_schema", False)
    connection.deserialize("main", image)
    connection.pragma("query_only", True)
    return connection
