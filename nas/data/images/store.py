# SPDX-License-Identifier: Apache-2.0
"""Stores decoded images by the SHA-256 of their files, so that a preparation that was killed can continue.

The store is one file with records of equal size: SHA-256 of the image file, ``Picture.bits``, the pixels, and a
checksum of the record. A damaged record and all records after it are removed when the store is opened.
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
    """A file of pictures of one shape; only one process may use it at a time, see ``exclusive``."""

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
        """Return the picture of the image file with this SHA-256.

        Raises:
            KeyError: the store does not have it.
        """
        self._file.seek(self._places[sha256] * self._size + _KEY_BYTES)
        record = self._file.read(1 + self._pixels)
        return Picture(pixels_CHW=np.frombuffer(record, np.uint8, offset=1).reshape(self._shape_CHW), bits=record[0])

    def put(self, sha256: str, picture: Picture) -> None:
        """Store the picture of the image file with this SHA-256, unless it is there already."""
        if sha256 in self._places:
            return
        record = bytes.fromhex(sha256) + bytes([picture.bits]) + picture.pixels_CHW.tobytes()
        self._places[sha256] = len(self._places)
        self._file.write(record + _check(record))

    def flush(self) -> None:
        """Pass everything to the operating system, so that it survives if this process is killed."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
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
    """Lock the index and the stores of a cache folder; other processes wait and then find what this one has read.

    Raises:
        CacheError: the folder cannot be made or written, or the ``with`` block raised ``OSError``.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(cache_dir / ".reading", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it, however this process ends
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise cannot_write(cache_dir.name, error) from error


def _check(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=_CHECK_BYTES).digest()
