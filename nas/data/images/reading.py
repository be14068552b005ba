# SPDX-License-Identifier: Apache-2.0
"""Reads image files of a folder. One pass over a file hashes it, reads its header and decodes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from nas.config import InputShape
from nas.data.decoding import Header, ImageFault, Limits, Picture, decode, read_header
from nas.data.folders import FileError, FoundFile, Parts, Tree

Guard = Callable[[], AbstractContextManager[None]]
"""Returns a context manager that is entered around work on foreign data, such as a limit on processor time."""
Progress = Callable[[int, int], None]
"""Called with the number of files that are done and the number of all files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is read of each file.

    Attributes:
        shape: shape that the image is decoded to; None to read its header only.
        limits: largest file that is read.
        fit: how the image is scaled into the shape, one of ``nas.folders.FITS``.
        sample_bits: as for ``decode``.
    """

    shape: InputShape | None
    limits: Limits
    fit: str = "pad"
    sample_bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """The result of reading one file.

    Attributes:
        sha256: SHA-256 of its content, or of the fault if it could not be opened; empty if the process that read it
            died.
        header: None if the file is no image, or too large.
        fault: why the image cannot be used, as the end of a sentence that begins with the image; empty if it can.
        picture: None if only the header was wanted, or if the image cannot be decoded.
    """

    sha256: str
    header: Header | None
    fault: str
    picture: Picture | None = None


Surveyed = Mapping[Parts, Reading]
"""Headers and hashes of the files of a folder, without pictures, by path."""


class Reader(Protocol):
    """Reads files of a folder, in any order."""

    def read(self, tree: Tree, files: Iterable[FoundFile], wanted: Wanted) -> Iterator[tuple[FoundFile, Reading]]:
        """Yield every file once with its reading; a file that cannot be read raises nothing and has a ``fault``."""


@dataclass(frozen=True, slots=True)
class InProcess:
    """Reads one file after another in this process.

    Attributes:
        guard: its context manager is entered around each file.
    """

    guard: Guard = nullcontext

    def read(self, tree: Tree, files: Iterable[FoundFile], wanted: Wanted) -> Iterator[tuple[FoundFile, Reading]]:
        """Yield the readings, as ``Reader.read`` does, in the order of the files."""
        for file in files:
            with self.guard():
                reading = read_file(tree, file, wanted)
            yield file, reading


def read_file(tree: Tree, file: FoundFile, wanted: Wanted) -> Reading:
    """Read one file; if something is wrong with it, the reading has a ``fault``."""
    try:
        content = tree.read(file, wanted.limits.file_bytes)
    except FileError as error:
        return Reading(sha256=hashlib.sha256(error.reason.encode()).hexdigest(), header=None, fault=error.reason)
    sha256 = hashlib.sha256(content).hexdigest()
    header = None
    try:
        header = read_header(content, wanted.limits)
        picture = None
        if wanted.shape is not None:
            picture = decode(content, wanted.shape, wanted.limits, wanted.fit, wanted.sample_bits)
    except ImageFault as error:
        return Reading(sha256=sha256, header=header, fault=error.reason)
    return Reading(sha256=sha256, header=header, fault="", picture=picture)
