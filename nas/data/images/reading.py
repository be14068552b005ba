# SPDX-License-Identifier: Apache-2.0
"""Reads image files of a folder, each once: hashed, looked at and decoded in one go, by this process or by others."""

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
"""Makes what is entered around each image that is read, such as a limit on processor time."""
Progress = Callable[[int, int], None]
"""Told how many of how many files are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is read of each file.

    Attributes:
        shape: decode the image and bring it to this shape; None to look at its header only.
        limits: of one file.
        fit: how it is brought there, one of ``nas.folders.FITS``.
        sample_bits: as ``decode`` takes them.
    """

    shape: InputShape | None
    limits: Limits
    fit: str = "pad"
    sample_bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One file.

    Attributes:
        sha256: of its content; of the fault where it could not be opened; empty if the process that read it died.
        header: None if it is no image that can be used.
        fault: why it cannot be used, as the rest of a sentence; empty if it can.
        picture: None if the image was not wanted or cannot be decoded.
    """

    sha256: str
    header: Header | None
    fault: str
    picture: Picture | None = None


Surveyed = Mapping[Parts, Reading]
"""What was read of each file of a folder, without its picture."""


class Reader(Protocol):
    """Reads files of one folder, in any order."""

    def read(self, tree: Tree, files: Iterable[FoundFile], wanted: Wanted) -> Iterator[tuple[FoundFile, Reading]]:
        """Yield every file once; a file that cannot be read is a fault of its own and raises nothing."""


@dataclass(frozen=True, slots=True)
class InProcess:
    """Reads one file after the other in this process.

    Attributes:
        guard: entered around each file.
    """

    guard: Guard = nullcontext

    def read(self, tree: Tree, files: Iterable[FoundFile], wanted: Wanted) -> Iterator[tuple[FoundFile, Reading]]:
        """As ``Reader.read``, in the order of the files."""
        for file in files:
            with self.guard():
                reading = read_file(tree, file, wanted)
            yield file, reading


def read_file(tree: Tree, file: FoundFile, wanted: Wanted) -> Reading:
    """Read one file; whatever is wrong with it is the reading's fault."""
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
