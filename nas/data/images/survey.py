# SPDX-License-Identifier: Apache-2.0
"""Hashes every image file of a folder and reads its header, once per file.

The results are kept in an index in the cache folder. A file with the same size, times and inode as in the index is not
read again. The index has a line per file and is appended to while files are read, so a killed process repeats only the
last few files. If the index is lost, all files are read again; nothing else happens. The index holds no id of a
patient, but a hash of it with a random key; the key is the first line of the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from nas.canonical_json import canonical_json
from nas.data.decoding import Header
from nas.data.folders import FoundFile, Parts, Tree
from nas.data.images.reading import Progress, Reader, Reading, Wanted
from nas.data.images.store import PixelStore, exclusive

_SETTLED_NS = 2 * 10**9
"""Nanoseconds. A file that changed within this time before it was read could change again with the same time stamp,
so it is not entered into the index."""
_INDEX_VERSION = 3
_FLUSH_EVERY = 32
"""Files between two flushes; if the process is killed, at most so many are read again."""
_KEY_LINE = ""
"""The name in the line of the key; no file has it."""
_KEY_BYTES = 32
_HASH_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Surveys a folder.

    Attributes:
        cache_dir: folder of the index.
        wanted: what is read of each file; with a shape, pictures are decoded and stored in the same pass.
        store_path: file that the pictures are stored in.
        reader: reads the files.
        is_verifying: whether files that are in the index are read again.
        on_progress: called after each file.
    """

    cache_dir: Path
    wanted: Wanted
    store_path: Path
    reader: Reader
    is_verifying: bool
    on_progress: Progress

    def survey(self, tree: Tree, files: Iterable[FoundFile]) -> dict[Parts, Reading]:
        """Return the reading of every file; read those that are not in the index or have changed."""
        listed = tuple(files)
        index = self.cache_dir / f"index-{self._key(tree)}.jsonl"
        found = {} if self.is_verifying else _known(_load(index), listed)
        if len(found) < len(listed):
            with exclusive(self.cache_dir):
                entries = _load(index)  # another process may have read the files meanwhile
                found = {} if self.is_verifying else _known(entries, listed)
                self._read(tree, [file for file in listed if file.parts not in found], index, _key_of(entries), found)
        return {file.parts: found[file.parts] for file in listed}

    def _key(self, tree: Tree) -> str:
        told = (_INDEX_VERSION, tree.key, self.wanted.limits)
        return hashlib.sha256(canonical_json(told)).hexdigest()[:16]

    def _read(
        self, tree: Tree, files: list[FoundFile], index: Path, known_key: bytes, found: dict[Parts, Reading]
    ) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_open_private(index))
            key = known_key or secrets.token_bytes(_KEY_BYTES)
            if not known_key:
                log.write(_to_line([_KEY_LINE, key.hex()]))
            store = None
            if self.wanted.shape is not None:
                store = PixelStore(self.store_path, self.wanted.shape)
                stack.callback(store.close)
            for done, (file, reading) in enumerate(self.reader.read(tree, files, self.wanted), 1):
                header = None if reading.header is None else _without_id(reading.header, key)
                found[file.parts] = Reading(sha256=reading.sha256, header=header, fault=reading.fault)
                if store is not None and reading.picture is not None:
                    store.put(reading.sha256, reading.picture)
                is_settled = file.state[2] + _SETTLED_NS < time.time_ns()
                if is_settled and header is not None and not reading.fault:  # a fault may pass: a missing disk
                    log.write(_to_line([_name(file), file.state, reading.sha256, asdict(header)]))
                if done % _FLUSH_EVERY == 0:
                    log.flush()
                    if store is not None:
                        store.flush()
                self.on_progress(done, len(files))


def _open_private(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "ab")


def _without_id(header: Header, key: bytes) -> Header:
    """Replace the id of a patient by its keyed hash, which is equal for equal ids and does not reveal them."""
    if not header.patient:
        return header
    told = header.patient.encode(errors="backslashreplace")
    return replace(header, patient=hashlib.blake2b(told, key=key, digest_size=_HASH_BYTES).hexdigest())


def _key_of(entries: dict[str, list[Any]]) -> bytes:
    return bytes.fromhex(entries[_KEY_LINE][1]) if _KEY_LINE in entries else b""


def _known(entries: dict[str, list[Any]], files: tuple[FoundFile, ...]) -> dict[Parts, Reading]:
    """Return the readings of files that are in the index and have not changed; none if the key is lost."""
    if _KEY_LINE not in entries:
        return {}
    found = {}
    for file in files:
        entry = entries.get(_name(file))
        if entry is not None and tuple(entry[1]) == file.state:
            found[file.parts] = Reading(sha256=entry[2], header=Header(**entry[3]), fault="")
    return found


def _name(file: FoundFile) -> str:
    return "/".join(file.parts)


def _to_line(entry: list[Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"\n%08x %s\n" % (zlib.crc32(text), text)  # the first line break ends a line that was cut off by a kill


def _load(index: Path) -> dict[str, list[Any]]:
    """Read the entries of the index by name; damaged lines are skipped, and later lines replace earlier ones."""
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
