# SPDX-License-Identifier: Apache-2.0
"""Asks a process of its own to prepare a data set, and reads the answer."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.config import DatasetInfo, InputShape, SearchConfig
from nas.search.facts import DatasetSummary, PartCounts


class DataError(Exception):
    """A data set cannot be used; ``kind`` is the name of the error in ``nas.data``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPreparation:
    """Prepares data sets below one data root into one cache."""

    data_root: Path | None
    cache_dir: Path

    def missing_files(self, info: DatasetInfo) -> tuple[str, ...]:
        """Name the files of a data set that are not where they have to lie."""
        if not info.files:
            return ()
        names = [[name for name in accepted if self._has(info.name, name)] for accepted in info.files]
        return tuple(accepted[0] for accepted, found in zip(info.files, names, strict=True) if not found)

    def _has(self, dataset: str, name: str) -> bool:
        return self.data_root is not None and (self.data_root / dataset / name).is_file()

    async def prepare(self, config: SearchConfig) -> DatasetSummary:
        """Build or check the cache of the config's data set and divide it.

        Raises:
            DataError: what is wrong with the data, in one sentence.
        """
        request = {
            "dataset": config.dataset,
            "data_root": None if self.data_root is None else str(self.data_root),
            "cache_dir": str(self.cache_dir),
            "input_size": config.input_size,
            "seed": config.seed,
            "train_limit": config.train_limit,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server.worker.prepare",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NAS_WORKER_PARENT": str(os.getpid())},
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate(json.dumps(request).encode())
        except asyncio.CancelledError:
            process.kill()
            raise
        return _read(output, process.returncode)


def _read(output: bytes, status: int | None) -> DatasetSummary:
    if status != 0:
        raise DataError(
            "CorruptFileError", f"reading the data set ended the reader with status {status}; see the server's log"
        )
    answer: dict[str, Any] = json.loads(output)
    if "error" in answer:
        raise DataError(answer["error"], answer["message"])
    found = answer["dataset"]
    counts = found["images_per_class"]
    return DatasetSummary(
        shape=InputShape(**found["shape"]),
        class_names=tuple(found["class_names"]),
        counts=PartCounts(
            train=tuple(counts["train"]), validation=tuple(counts["validation"]), test=tuple(counts["test"])
        ),
        fingerprint=found["fingerprint"],
        split_fingerprint=found["split_fingerprint"],
    )
