# SPDX-License-Identifier: Apache-2.0
"""Lists and reads a folder below the data root without following links.

Each folder is opened through the descriptor of the folder above it, and links are refused. So nothing outside the data
root is reached, even if somebody replaces a folder by a link while it is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from nas.data.errors import FolderError, MissingDataRootError, MissingFolderError, PathOutsideError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# For the folders above, the permission to search them is enough; O_PATH needs no permission to list them.
_PASSAGE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe waits for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_FILES = 2_000_000
_MOST_LEVELS = 16
_PASSED_OVER = ("__MACOSX",)
"""Folders that archive programs add; they are passed over, like all names that begin with a dot."""

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One regular file.

    Attributes:
        parts: the names of its path below the folder.
        state: size, times of change and inode; while these are the same, so is the content.
    """

    parts: Parts
    state: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Listing:
    """The content of a folder at every depth, sorted by path.

    Attributes:
        files: regular files.
        folders: paths of the folders below.
        passed_over: number of links, and of entries that are neither files nor folders.
    """

    files: list[FoundFile] = field(default_factory=list)
    folders: list[Parts] = field(default_factory=list)
    passed_over: int = 0


class FileError(Exception):
    """A file cannot be read.

    Attributes:
        reason: what is wrong, as the end of a sentence that begins with the file.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An open folder.

    Attributes:
        dataset: the data set as the user wrote it, for messages.
        location: the folder's path from ``<data root>`` on, for messages.
        key: the folder's absolute path, which tells folders apart.
        descriptor: the open folder.
    """

    dataset: str
    location: str
    key: str
    descriptor: int

    def walk(self) -> Listing:
        """List everything below the folder.

        Raises:
            FolderError: the folder cannot be listed, or it is too large or too deep.
        """
        listing = Listing()
        try:
            self._walk(self.descriptor, (), listing)
        except OSError as error:
            raise FolderError(self.dataset, f"a folder in it cannot be listed ({error.strerror})") from error
        listing.files.sort(key=lambda file: file.parts)
        listing.folders.sort()
        return listing

    def read(self, file: FoundFile, most_bytes: int) -> bytes:
        """Read a whole file.

        Raises:
            FileError: the file cannot be read, or it is larger than ``most_bytes``.
        """
        with self._opened(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > most_bytes:
                raise FileError(f"has {size >> 20} MiB, more than the {most_bytes >> 20} MiB allowed")
            return stream.read(most_bytes)

    def read_beginning(self, file: FoundFile, count: int) -> bytes:
        """Read the first ``count`` bytes of a file.

        Raises:
            FileError: the file cannot be read.
        """
        with self._opened(file) as stream:
            return stream.read(count)

    @contextmanager
    def _opened(self, file: FoundFile) -> Iterator[BinaryIO]:
        """Open a regular file without following links; ``OSError`` in the ``with`` block becomes ``FileError``."""
        try:
            with ExitStack() as stack:
                folder = self.descriptor
                for part in file.parts[:-1]:
                    folder = os.open(part, _FOLDER, dir_fd=folder)
                    stack.callback(os.close, folder)
                descriptor = os.open(file.parts[-1], _FILE, dir_fd=folder)
                stack.callback(os.close, descriptor)
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FileError("is no regular file")
                yield stack.enter_context(open(descriptor, "rb", closefd=False))
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror})") from error

    def _walk(self, folder: int, parts: Parts, listing: Listing) -> None:
        if len(parts) > _MOST_LEVELS:
            raise FolderError(self.dataset, f"it is more than {_MOST_LEVELS} folders deep")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _PASSED_OVER:
                    continue
                path = (*parts, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    listing.folders.append(path)
                    self._enter(folder, path, listing)
                elif entry.is_file(follow_symlinks=False):
                    listing.files.append(FoundFile(parts=path, state=_state(entry.stat(follow_symlinks=False))))
                else:
                    listing.passed_over += 1
                if len(listing.files) + len(listing.folders) > _MOST_FILES:
                    raise FolderError(self.dataset, f"it holds more than {_MOST_FILES:,} files")

    def _enter(self, above: int, path: Parts, listing: Listing) -> None:
        folder = os.open(path[-1], _FOLDER, dir_fd=above)
        try:
            self._walk(folder, path, listing)
        finally:
            os.close(folder)


@contextmanager
def open_tree(dataset: str, path: str, data_root: Path | None) -> Iterator[Tree]:
    """Open the folder of a data set.

    Args:
        dataset: the data set as the user wrote it, for messages.
        path: relative to the data root, or absolute; it must lead to a folder inside the data root.
        data_root: None if the server has none.

    Raises:
        MissingDataRootError: there is no data root.
        PathOutsideError: the path leads out of it.
        MissingFolderError: there is no such folder.
        FolderError: the folder cannot be opened.
    """
    if data_root is None or not os.path.isdir(data_root):  # Path.is_dir may raise PermissionError
        raise MissingDataRootError(dataset, is_configured=data_root is not None)
    root = data_root.resolve()
    try:
        target = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a path too long, with a NUL, with links in a circle
        raise MissingFolderError(dataset, _show(path, root)) from error
    if not target.is_relative_to(root):
        raise PathOutsideError(dataset)
    inside = target.relative_to(root)
    with ExitStack() as stack:
        try:
            folder: int | None = None
            *passages, last = (root, *inside.parts)
            for part in passages:
                folder = _open(stack, part, folder, _PASSAGE)
            folder = _open(stack, last, folder, _FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingFolderError(dataset, _show(inside, root)) from error
        except OSError as error:
            raise FolderError(dataset, f"{_show(inside, root)} cannot be opened ({error.strerror})") from error
        yield Tree(dataset=dataset, location=_show(inside, root), key=str(target), descriptor=folder)


def _open(stack: ExitStack, path: str | Path, above: int | None, flags: int) -> int:
    descriptor = os.open(path, flags, dir_fd=above)
    stack.callback(os.close, descriptor)
    return descriptor


def _show(path: str | Path, root: Path) -> str:
    """Return a path from ``<data root>`` on, with ``?`` for characters that cannot be printed."""
    text = "".join(c if c.isprintable() else "?" for c in str(path))
    if root == Path(root.anchor):  # the whole file system is no root worth naming
        return f"{root.anchor}{text.removeprefix(root.anchor)}"
    return "<data root>" if text in ("", ".") else f"<data root>/{text}"


def _state(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
