# SPDX-License-Identifier: Apache-2.0
"""Finds and opens the files of a published data set below the data root; messages leave out the root's path."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from nas.catalogue import DatasetInfo
from nas.data.errors import CorruptFileError, MissingDataRootError, MissingFilesError

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_DEFLATE_GAINS = 1032
"""Largest ratio of unpacked to packed bytes (zlib's technical notes, "Maximum Compression Factor")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file below the data root.

    Attributes:
        path: resolved path, for opening; never shown.
        name: path from ``<data root>`` on, for messages.
    """

    path: Path
    name: str

    @contextmanager
    def open(self) -> Iterator[tuple[BufferedIOBase, range]]:
        """Open the file for reading, through gzip if its first bytes say so.

        Returns:
            The stream, and the numbers of bytes that it can have: the size of the file, or for a gzip file any number
            up to the largest that could have been packed.

        Raises:
            CorruptFileError: it is no regular file, or reading in the ``with`` block fails.
        """
        with self.reading(), self._open_regular() as raw:
            size = os.fstat(raw.fileno()).st_size
            is_packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if is_packed:
                with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
                    yield stream, range(size * _MOST_DEFLATE_GAINS + 1)
            else:
                yield raw, range(size, size + 1)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn errors of the system and of gzip in the ``with`` block into ``CorruptFileError`` without a path."""
        try:
            yield
        except EOFError as error:
            raise CorruptFileError(self.name, "ends in the middle of its gzip stream") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise CorruptFileError(self.name, "is no valid gzip stream") from error
        except OSError as error:
            raise CorruptFileError(self.name, f"cannot be read ({error.strerror})") from error

    def sha256(self) -> str:
        """Return the SHA-256 of the file on disk, without unpacking it.

        Raises:
            CorruptFileError: the file cannot be read or is no regular file.
        """
        with self.reading(), self._open_regular() as raw:
            return hashlib.file_digest(raw, "sha256").hexdigest()

    def _open_regular(self) -> BufferedReader:
        # Without O_NONBLOCK, opening a named pipe waits for a writer.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CorruptFileError(self.name, "is no regular file")
        return os.fdopen(descriptor, "rb")


def find_files(info: DatasetInfo, data_root: Path | None, folder: str = "") -> tuple[SourceFile, ...]:
    """Find the files of a data set, in the order of the catalogue.

    Args:
        info: the data set.
        data_root: None if the server has none.
        folder: folder below the data root; empty for the name of the data set.

    Raises:
        MissingDataRootError: there is no folder to look into.
        MissingFilesError: a file is missing; the error names all that are.
        CorruptFileError: a file cannot be reached or lies outside the data root.
    """
    if data_root is None or not os.path.isdir(data_root):  # Path.is_dir may raise PermissionError
        raise MissingDataRootError(info.name, is_configured=data_root is not None)
    folder = folder or info.name
    found = [_first_existing(data_root, folder, names) for names in info.files]
    missing = tuple(_show(names) for names, file in zip(info.files, found, strict=True) if file is None)
    if missing:
        raise MissingFilesError(info.name, f"<data root>/{folder}", missing)
    return tuple(file for file in found if file is not None)


def _first_existing(data_root: Path, folder: str, names: tuple[str, ...]) -> SourceFile | None:
    root = data_root.resolve()
    for name in names:
        shown = f"<data root>/{folder}/{name}"
        try:
            path = (root / folder / name).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise CorruptFileError(shown, "cannot be reached") from error
        if not path.is_relative_to(root):
            raise CorruptFileError(shown, "is a link that leads out of the data root")
        return SourceFile(path=path, name=shown)
    return None


def _show(names: tuple[str, ...]) -> str:
    """Write the accepted names of a file as one, for example ``("a", "a.gz")`` as ``a[.gz]``."""
    first, *others = names
    return first + "".join(f"[{other.removeprefix(first)}]" for other in others)
