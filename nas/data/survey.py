# SPDX-License-Identifier: Apache-2.0
"""What every image file is, by content: hashed and looked at once, afterwards told by size, times and inode.

The index lies in the cache folder. Losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.decode import Guard, Header, ImageFault, Limits, read_header
from nas.data.tree import FileError, FoundFile, Parts, Tree

_SETTLED_NS = 2 * 10**9
"""A file that changed less than this before it was read may change again within the same tick of the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """One image file.

    Attributes:
        sha256: of its content; of the fault where it could not be read.
        header: None if it is no image that can be used.
        fault: why; empty if it is one.
    """

    sha256: str
    header: Header | None
    fault: str


def survey(
    tree: Tree, files: Iterable[FoundFile], *, cache_dir: Path, limits: Limits, guard: Guard
) -> dict[Parts, Surveyed]:
    """Look at every file that is not in the index as it is now, and write the index anew.

    Args:
        tree: the folder.
        files: those of it that may be images.
        cache_dir: where the index is kept.
        limits: of one image.
        guard: entered around each file that is read.
    """
    key = hashlib.sha256(f"{tree.key}/{limits}".encode(errors="surrogateescape")).hexdigest()[:16]
    index = cache_dir / f"index-{key}.json"
    known = _load(index)
    found: dict[Parts, Surveyed] = {}
    entries: dict[str, list[Any]] = {}
    is_changed = False
    for file in files:
        name = "/".join(file.parts)
        entry = known.get(name)
        if entry is None or tuple(entry[0]) != file.state:
            is_settled = file.state[2] + _SETTLED_NS < time.time_ns()
            with guard():
                surveyed = _look_at(tree, file, limits)
            entry = [file.state, *_to_json(surveyed)] if is_settled else None
            is_changed = True
        else:
            surveyed = _from_json(entry[1:])
        found[file.parts] = surveyed
        if entry is not None:
            entries[name] = entry
    if is_changed:
        with contextlib.suppress(OSError):  # a disk that is full or gone is reported where it matters
            _save(index, entries)
    return found


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


def _look_at(tree: Tree, file: FoundFile, limits: Limits) -> Surveyed:
    try:
        content = tree.read(file, limits.file_bytes)
    except FileError as error:
        return Surveyed(sha256=hashlib.sha256(error.reason.encode()).hexdigest(), header=None, fault=error.reason)
    digest = hashlib.sha256(content).hexdigest()
    try:
        return Surveyed(sha256=digest, header=read_header(content, limits), fault="")
    except ImageFault as error:
        return Surveyed(sha256=digest, header=None, fault=error.reason)


def _save(index: Path, entries: dict[str, list[Any]]) -> None:
    text = json.dumps(entries, separators=(",", ":")).encode()
    write_private(index, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _load(index: Path) -> dict[str, list[Any]]:
    """Read the index; one that is damaged, or that two processes wrote at once, is none."""
    try:
        digest, _, text = index.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return {}
    entries: dict[str, list[Any]] = json.loads(text)
    return entries


def _to_json(surveyed: Surveyed) -> list[Any]:
    header = surveyed.header
    return [surveyed.sha256, None if header is None else [header.width, header.height, header.is_grey], surveyed.fault]


def _from_json(entry: list[Any]) -> Surveyed:
    sha256, header, fault = entry
    return Surveyed(
        sha256=sha256,
        header=None if header is None else Header(width=header[0], height=header[1], is_grey=header[2]),
        fault=fault,
    )
