# SPDX-License-Identifier: Apache-2.0
"""Asks a process of its own to prepare a data set, and reads the answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.catalogue import DatasetInfo, find_dataset
from nas.config import InputShape, SearchConfig
from nas.folders import PatientSource
from nas.search.conditions import DatasetSummary, PartCounts, PatientCounts
from server.codec import checking
from server.codec.checking import CheckRequest
from server.codec.plain import read, write
from server.codec.preparing import ENVIRONMENT, PROGRAM, DataRequest, PrepareAnswer, PrepareProgress, PrepareRequest

_MOST_LINE_BYTES = 64 * 2**20
"""Longest answer that is read; the answer of a check names files."""
_TRIES = 3
"""Times that the data is read if a signal ends the process: only repeated signals say something about the data."""


class DataError(Exception):
    """A data set cannot be used; ``kind`` is the name of the error in ``nas.data``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """A data set that is ready.

    Attributes:
        warnings: what the user should know about it, one sentence per warning.
    """

    summary: DatasetSummary
    warnings: tuple[str, ...] = ()


def root_of(dataset: str, data_root: Path | None, *, any_path: bool) -> str | None:
    """Return the folder that a data set has to lie in.

    Args:
        dataset: as the user wrote it.
        data_root: of the server; None if it has none.
        any_path: whether an absolute path may lead anywhere, as for a server that only its owner can talk to.
    """
    found = find_dataset(dataset)
    if any_path and found is not None and Path(found[1]).is_absolute():
        return Path(found[1]).anchor
    return None if data_root is None else str(data_root)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPreparation:
    """Prepares data sets below one data root into one cache.

    Attributes:
        may_download: whether missing files of public data sets may be fetched.
        any_path: whether an absolute path of a folder of images may lead out of the data root.
    """

    data_root: Path | None
    cache_dir: Path
    may_download: bool = False
    any_path: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False, compare=False)
    _current: dict[str, PrepareProgress] = field(default_factory=dict, init=False, repr=False, compare=False)

    def hint(self, info: DatasetInfo) -> str:
        """Say what to do before a data set can be used; empty if it can."""
        if self.any_path and info.needs_path:
            return ""
        if (info.files or info.is_folder) and (self.data_root is None or not self.data_root.is_dir()):
            otherwise = f", or write {info.name}:PATH" if self.any_path and info.is_folder else ""
            return f"start the server with --data-root DIR or NAS_DATA_ROOT=DIR{otherwise}"
        if info.is_folder:
            is_there = info.needs_path or self._path(info.name).is_dir()
            return "" if is_there else f"put its class folders into <data root>/{info.name}, or write {info.name}:PATH"
        missing = [accepted[0] for accepted in info.files if not any(self._has(info.name, name) for name in accepted)]
        return f"put {', '.join(missing)} (or .gz) into <data root>/{info.name}" if missing else ""

    def _path(self, name: str) -> Path:
        assert self.data_root is not None  # noqa: S101 - asked only where there is one
        return self.data_root / name

    def _has(self, dataset: str, name: str) -> bool:
        return (self._path(dataset) / name).is_file()

    def progress(self) -> tuple[str, PrepareProgress] | None:
        """Say which data set is being read and how far it is; None if none is."""
        return next(iter(self._current.items()), None)

    async def prepare(self, config: SearchConfig, *, is_verifying: bool = False) -> PreparedData:
        """Build or check the cache of the config's data set and divide it; one request at a time, whoever asks.

        Args:
            config: of the search.
            is_verifying: whether files that seem unchanged are hashed again.

        Raises:
            DataError: what is wrong with the data, in one sentence.
        """
        data_root = root_of(config.dataset, self.data_root, any_path=self.any_path)
        request = PrepareRequest(
            data=DataRequest.make(config, data_root=data_root, cache_dir=self.cache_dir),
            may_download=self.may_download,
            is_verifying=is_verifying,
        )
        return _to_prepared(await self._answer(config.dataset, PROGRAM, write(request)))

    async def check(self, config: SearchConfig, most_names: int) -> dict[str, Any]:
        """Have a folder checked as a data set; returns what ``server.codec.checking`` reads.

        Args:
            config: of a search of it, whose data set is what it is to be and its path, whether it has one or not.
            most_names: files and patients that each finding names.

        Raises:
            DataError: there is no such folder, or nothing of that kind to check.
        """
        path = config.dataset.partition(":")[2]
        data_root = root_of(f"folder:{path}", self.data_root, any_path=self.any_path)
        data = DataRequest.make(config, data_root=data_root, cache_dir=self.cache_dir)
        request = CheckRequest(data=data, most_names=most_names)
        return await self._answer(config.dataset, checking.PROGRAM, write(request))

    async def _answer(self, dataset: str, program: tuple[str, ...], request: bytes) -> dict[str, Any]:
        """Ask a process of its own, again if a signal ended it."""
        async with self._turn:
            try:
                for _ in range(_TRIES):
                    output, status = await _ask(program, request, lambda told: self._current.update({dataset: told}))
                    if status is None or status >= 0:
                        break
            finally:
                self._current.clear()
            return _read(output, status)


async def _ask(
    program: tuple[str, ...], request: bytes, on_progress: Callable[[PrepareProgress], None]
) -> tuple[bytes, int | None]:
    """Return the last line that a new process answers, and how it ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, "NAS_WORKER_PARENT": str(os.getpid())},
        start_new_session=True,
        limit=_MOST_LINE_BYTES,
    )
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    output = b""
    try:
        process.stdin.write(request)
        with contextlib.suppress(ConnectionError):  # it is dead already, as its status will say
            await process.stdin.drain()
        process.stdin.close()
        while line := await process.stdout.readline():
            if line.endswith(b"\n"):
                on_progress(read(PrepareProgress, line))
            else:
                output = line
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    return output, process.returncode


def _read(output: bytes, status: int | None) -> dict[str, Any]:
    if status != 0:
        raise DataError(
            "CorruptFileError", f"reading the data set ended the reader with status {status}; see the server's log"
        )
    answer = read(PrepareAnswer, output)
    if answer.dataset is None:
        raise DataError(answer.error, answer.message)
    return answer.dataset


def _to_prepared(found: dict[str, Any]) -> PreparedData:
    counts = found["images_per_class"]
    summary = DatasetSummary(
        shape=InputShape(**found["shape"]),
        class_names=tuple(found["class_names"]),
        counts=PartCounts(
            train=tuple(counts["train"]), validation=tuple(counts["validation"]), test=tuple(counts["test"])
        ),
        fingerprint=found["fingerprint"],
        split_fingerprint=found["split_fingerprint"],
        patients=_to_patients(found["division"]),
    )
    return PreparedData(summary=summary, warnings=tuple(found["warnings"]))


def _to_patients(division: dict[str, Any]) -> PatientCounts:
    counts = division["patients"]
    return PatientCounts(
        source=PatientSource[division["patients_from"]],
        **(counts or dict.fromkeys(("train", "validation", "test"), 0)),
        leaks=division["leaks"]["images" if counts is None else "patients"],
    )
