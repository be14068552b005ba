# SPDX-License-Identifier: Apache-2.0
"""What every image file is, by content: hashed and looked at once, afterwards told by size, times and inode.

The index lies in the cache folder, a line a file, appended while files are read, so that a kill costs the last few.
Losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from nas.data.decode import Header
from nas.data.reading import Progress, Reader, Reading, Wanted
from nas.data.store import PixelStore, exclusive
from nas.data.tree import FoundFile, Parts, Tree

_SETTLED_NS = 2 * 10**9
"""A file that changed less than this before it was read may change again within the same tick of the clock."""
_INDEX_VERSION = 2
_FLUSH_EVERY = 32
"""Files that a kill may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """How the files of one folder are looked at.

    Attributes:
        cache_dir: where the index is kept.
        wanted: of each file; with a shape, its pixels go to the store at once.
        store_path: of the decoded images.
        reader: reads the files.
        is_verifying: whether files that seem unchanged are hashed again.
        on_progress: told how many files are done.
    """

    cache_dir: Path
    wanted: Wanted
    store_path: Path
    reader: Reader
    is_verifying: bool
    on_progress: Progress

    def survey(self, tree: Tree, files: Iterable[FoundFile]) -> dict[Parts, Reading]:
        """Look at every file that is not in the index as it is now."""
        listed = tuple(files)
        index = self.cache_dir / f"index-{self._key(tree)}.jsonl"
        found = {} if self.is_verifying else _known(index, listed)
        if len(found) < len(listed):
            with exclusive(self.cache_dir):
                found = {} if self.is_verifying else _known(index, listed)  # another process may have been faster
                self._read(tree, [file for file in listed if file.parts not in found], index, found)
        return {file.parts: found[file.parts] for file in listed}

    def _key(self, tree: Tree) -> str:
        told = f"{_INDEX_VERSION}/{tree.key}/{self.wanted.limits}"
        return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]

    def _read(self, tree: Tree, files: list[FoundFile], index: Path, found: dict[Parts, Reading]) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_open_private(index))
            store = None
            if self.wanted.shape is not None:
                store = PixelStore(self.store_path, self.wanted.shape)
                stack.callback(store.close)
            for done, (file, reading) in enumerate(self.reader.read(tree, files, self.wanted), 1):
                found[file.parts] = Reading(sha256=reading.sha256, header=reading.header, fault=reading.fault)
                if store is not None and reading.pixels_CHW is not None:
                    store.put(reading.sha256, reading.pixels_CHW)
                is_settled = file.state[2] + _SETTLED_NS < time.time_ns()
                if is_settled and not reading.fault:  # a fault may pass, such as a disk that was gone
                    log.write(_to_line(file, reading))
                if done % _FLUSH_EVERY == 0:
                    log.flush()
                    if store is not None:
                        store.flush()
                self.on_progress(done, len(files))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all: names of images may be names of people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.new")
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)


def _open_private(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "ab")


def _known(index: Path, files: tuple[FoundFile, ...]) -> dict[Parts, Reading]:
    """Return what the index says of files that are as they were; later lines win."""
    entries = _load(index)
    found = {}
    for file in files:
        entry = entries.get(_name(file))
        if entry is not None and tuple(entry[1]) == file.state:
            found[file.parts] = Reading(sha256=entry[2], header=Header(**entry[3]), fault="")
    return found


def _name(file: FoundFile) -> str:
    return "/".join(file.parts)


def _to_line(file: FoundFile, reading: Reading) -> bytes:
    assert reading.header is not None  # noqa: S101 - it has no fault
    text = json.dumps([_name(file), file.state, reading.sha256, asdict(reading.header)], separators=(",", ":")).encode()
    return b"\n%08x %s\n" % (zlib.crc32(text), text)  # the first break ends a line that a kill cut short


def _load(index: Path) -> dict[str, list[Any]]:
    """Read the index; a damaged line is none."""
    try:
        lines = index.read_bytes().split(b"\n")
    except OSError:
        return {}
    entries: dict[str, list[Any]] = {}
    for line in lines:
        check, _, text = line.partition(b" ")
        if len(check) == 8 and check == b"%08x" % zlib.crc32(text):
            entry = json.loads(text)
            entries[entry[0]] = entry
    return entries
