# SPDX-License-Identifier: Apache-2.0
"""Decoded images by the content of their files, so that an ingest that was killed goes on where it was.

One file of records of one size: SHA-256 of the source, the bits that its values took, the pixels, a checksum of all. A
record that a kill cut short, and all after it, is as if it had never been written.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from nas.config import InputShape
from nas.data.decoding import Picture
from nas.data.errors import cannot_write

_KEY_BYTES = 32
_CHECK_BYTES = 16


class PixelStore:
    """One file of images of one shape; one process at a time, see ``exclusive``."""

    def __init__(self, path: Path, shape: InputShape) -> None:
        self._shape_CHW = (shape.channels, shape.height, shape.width)
        self._pixels = math.prod(self._shape_CHW)
        self._size = _KEY_BYTES + 1 + self._pixels + _CHECK_BYTES
        self._file: IO[bytes] = path.open("a+b")
        self._places: dict[str, int] = {}
        self._load()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._places

    def get(self, sha256: str) -> Picture:
        """Return the picture of a file's content.

        Raises:
            KeyError: it is not here.
        """
        self._file.seek(self._places[sha256] * self._size + _KEY_BYTES)
        record = self._file.read(1 + self._pixels)
        return Picture(pixels_CHW=np.frombuffer(record, np.uint8, offset=1).reshape(self._shape_CHW), bits=record[0])

    def put(self, sha256: str, picture: Picture) -> None:
        """Keep the picture of a file's content."""
        if sha256 in self._places:
            return
        record = bytes.fromhex(sha256) + bytes([picture.bits]) + picture.pixels_CHW.tobytes()
        self._places[sha256] = len(self._places)
        self._file.write(record + _check(record))

    def flush(self) -> None:
        """Hand over to the system what was put, so that a kill loses none of it."""
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _load(self) -> None:
        self._file.seek(0)
        while len(record := self._file.read(self._size)) == self._size:
            if _check(record[:-_CHECK_BYTES]) != record[-_CHECK_BYTES:]:
                break
            self._places[record[:_KEY_BYTES].hex()] = len(self._places)
        self._file.truncate(len(self._places) * self._size)


@contextmanager
def exclusive(cache_dir: Path) -> Iterator[None]:
    """Keep other readers of source files waiting, so that they find what this one has read.

    Raises:
        CacheError: the folder cannot be made or written; so does any ``OSError`` of the ``with`` block end.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(cache_dir / ".reading", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go of it, however this process ends
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise cannot_write(cache_dir.name, error) from error


def _check(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=_CHECK_BYTES).digest()
