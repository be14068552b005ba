# SPDX-License-Identifier: Apache-2.0
"""A simulated disk that XX.

Each write that was not synced may survive, be missing, or survive in part, independently of the others. A new file
needs its folder synced as well before it is sure to have its name. A deletion that SQLite asks to be durable is durable
at once.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from nas import durable
from server.journal import high_water, recovery

FOLDER, PARENT = ".", ".."
"""Names of the folder itself and of the one that it lies in; the latter holds the former's name."""
_SECTOR = 512
_NUMBERS = count()


class Adversary(Enum):
    """Which of the writes that were not synced survive a power loss."""

    DROPS_ALL = "drops all"
    KEEPS_SOME = "keeps some"
    TEARS = "tears"
    """Keeps those up to a random one, of which only some sectors arrive, or noise."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written at an offset of a file."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was cut to a length."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Create:
    """A name was created: of a file in the folder, or of the folder in its parent."""

    name: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A name was deleted."""

    name: str
    is_durable: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything done to a file so far is durable; for a folder, the names in it."""

    name: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The journal has acknowledged so many records."""

    records: int


Step = Write | Truncate | Create | Delete | Sync | Acknowledge
Files = Mapping[str, bytes]


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    pending: list[Write | Truncate] = field(default_factory=list)
    has_name: bool = True


class Disk:
    """What is durable and what is not after some steps."""

    def __init__(self, files: Files, *, has_folder: bool) -> None:
        self.acknowledged = 0
        self._files = {name: _File(durable=data) for name, data in files.items()}
        self._has_folder = has_folder
        self._deleted: dict[str, _File] = {}

    def take(self, step: Step) -> None:
        """Apply one step."""
        match step:
            case Write() | Truncate():
                self._files[step.name].pending.append(step)
            case Create() if step.name == FOLDER:
                self._has_folder = False
            case Create():
                self._files[step.name] = _File(has_name=False)
            case Delete():
                gone = self._files.pop(step.name)
                if not step.is_durable and gone.has_name:
                    self._deleted[step.name] = gone
            case Sync() if step.name == PARENT:
                self._has_folder = True
            case Sync() if step.name == FOLDER:
                self._sync_names()
            case Sync():
                file = self._files[step.name]
                file.durable, file.pending = _apply(file.durable, file.pending), []
            case Acknowledge():
                self.acknowledged = step.records

    def crash(self, adversary: Adversary, draw: random.Random) -> dict[str, bytes] | None:
        """Return what the files hold when the power is back, ``None`` if the folder itself is not there."""

        def keeps() -> bool:
            return adversary is Adversary.TEARS or (adversary is Adversary.KEEPS_SOME and draw.random() < 0.5)

        if not self._has_folder and not keeps():
            return None
        left = {name: file for name, file in self._files.items() if file.has_name or keeps()}
        left |= {name: file for name, file in self._deleted.items() if name not in left and not keeps()}
        return {name: _survive(file, adversary, draw) for name, file in left.items()}

    def _sync_names(self) -> None:
        self._deleted.clear()
        for file in self._files.values():
            file.has_name = True


def _survive(file: _File, adversary: Adversary, draw: random.Random) -> bytes:
    match adversary:
        case Adversary.DROPS_ALL:
            return file.durable
        case Adversary.KEEPS_SOME:
            return _apply(file.durable, [change for change in file.pending if draw.random() < 0.5])
        case Adversary.TEARS:
            last = draw.randrange(len(file.pending)) if file.pending else 0
            torn = [write for change in file.pending[last : last + 1] for write in _tear(change, draw)]
            return _apply(file.durable, [*file.pending[:last], *torn])


def _tear(change: Write | Truncate, draw: random.Random) -> Iterator[Write]:
    """Yield the sectors of a write that arrive, whole, cut off or as noise; a truncation is never in part."""
    if isinstance(change, Truncate):
        return
    for start in range(0, len(change.data), _SECTOR):
        sector = change.data[start : start + _SECTOR]
        match draw.randrange(4):
            case 0:
                yield Write(change.name, change.offset + start, sector)
            case 1:
                yield Write(change.name, change.offset + start, sector[: draw.randint(0, len(sector))])
            case 2:
                yield Write(change.name, change.offset + start, draw.randbytes(len(sector)))


def _apply(content: bytes, changes: list[Write | Truncate]) -> bytes:
    if not changes:
        return content
    data = bytearray(content)
    for change in changes:
        if isinstance(change, Truncate):
            del data[change.size :]
            data.extend(bytes(change.size - len(data)))
        else:
            data.extend(bytes(max(0, change.offset - len(data))))
            data[change.offset : change.offset + len(change.data)] = change.data
    return bytes(data)


class _RecordedFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], path: Path, steps: list[Step]) -> None:
        self._is_new = not path.exists()
        super().__init__("", name, flags)
        self._name, self._steps = path.name, steps
        if self._is_new:
            steps.append(Create(path.name))

    def xWrite(self, data: bytes, offset: int) -> None:
        self._steps.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._steps.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        # Not passed on: nothing happens to this machine's power. SQLite syncs the folder with a log's first sync.
        self._steps.append(Sync(self._name))
        if self._is_new:
            self._is_new = False
            self._steps.append(Sync(FOLDER))


class _RecordedVfs(apsw.VFS):
    def __init__(self, name: str, steps: list[Step]) -> None:
        super().__init__(name, "")
        self._steps = steps

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None:
            return apsw.VFSFile("", name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        return _RecordedFile(name, flags, path, self._steps)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._steps.append(Delete(Path(filename).name, syncdir))
        if syncdir:
            self._steps.append(Sync(FOLDER))
        super().xDelete(filename, False)


class _RecordedOs:
    """The module ``os`` for the files that do not go through SQLite."""

    def __init__(self, folder: Path, steps: list[Step]) -> None:
        self._names = {folder: FOLDER, folder.parent: PARENT}
        self._steps = steps
        self._open: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        is_new = not path.exists()
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = self._names.get(path, path.name)
        if is_new:
            self._steps.append(Create(path.name))
        return descriptor

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self._steps.append(Write(self._open[descriptor], offset, bytes(data)))
        return os.pwrite(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        self._steps.append(Sync(self._open[descriptor]))


@contextmanager
def recording(
    folder: Path, steps: list[Step], plant: Callable[[pytest.MonkeyPatch], None] | None = None
) -> Iterator[str]:
    """Record what the journal does to a folder, and yield the name of the SQLite file system to use.

    Args:
        folder: the state folder, which may not exist yet.
        steps: get everything that happens.
        plant: puts a fault into the journal for as long as this lasts.
    """
    if not folder.exists():
        steps.append(Create(FOLDER))
    name = f"recorded-{next(_NUMBERS)}"
    vfs = _RecordedVfs(name, steps)
    with pytest.MonkeyPatch.context() as patch:
        module = _RecordedOs(folder, steps)
        for user in (high_water, recovery, durable):
            patch.setattr(user, "os", module)
        patch.setattr(high_water, "_sync", module.fsync)
        if plant:
            plant(patch)
        yield name
    vfs.unregister()
