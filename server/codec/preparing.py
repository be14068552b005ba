# SPDX-License-Identifier: Apache-2.0
"""What the process that prepares data is asked, how it reports progress, and what it answers.

Each record travels as ``server.codec.plain`` writes it: the request and the answer without an end of line, progress
with one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nas.config import ImageSettings, SearchConfig

PROGRAM = ("-m", "server.worker.prepare")
"""Arguments of Python that start it."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""Of that process: memory for one thread per core would count against its limit, and it computes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest(ImageSettings):
    """Which data set a process needs, how its images are read, and how it is divided.

    Attributes:
        data_root, cache_dir: where the data comes from; the other fields are those of ``SearchConfig``.
    """

    dataset: str
    data_root: str | None
    cache_dir: str
    seed: int
    train_limit: int
    folds: int
    fold: int

    @classmethod
    def make(cls, config: SearchConfig, *, data_root: str | None, cache_dir: Path) -> DataRequest:
        """Take from the settings of a search what they say about its data."""
        places: dict[str, Any] = {"data_root": data_root, "cache_dir": str(cache_dir)}
        return cls(**{f.name: getattr(config, f.name) for f in fields(cls) if f.name not in places}, **places)

    @property
    def division(self) -> dict[str, int]:
        """What ``nas.data.split`` takes beside the data set."""
        return {name: getattr(self, name) for name in ("seed", "train_limit", "folds", "fold")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest:
    """Asks for a data set to be prepared and divided.

    Attributes:
        may_download: whether missing files of a public data set may be fetched.
        is_verifying: whether files that seem unchanged are hashed again.
    """

    data: DataRequest
    may_download: bool = False
    is_verifying: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareProgress:
    """How far the preparation is: any number of such lines come before the answer.

    Attributes:
        done, total: numbers of files.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareAnswer:
    """The prepared data set, or what is wrong with it.

    Attributes:
        dataset: what ``nas.data.describe`` and ``inspect_division`` returned, the latter as ``division``.
        error: class name of the error in ``nas.data``; empty if there is none.
        message: the error in one sentence.
    """

    dataset: dict[str, Any] | None = None
    error: str = ""
    message: str = ""
