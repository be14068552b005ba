# SPDX-License-Identifier: Apache-2.0
"""What is said to the process that prepares data, how it tells its progress, and what it answers: JSON in lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nas.config import SearchConfig

PROGRAM = ("-m", "server.worker.prepare")
"""Arguments of Python that start it."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""Of it: memory for a thread a core would count against its limit, and it computes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """Which data set is wanted, how its images are read, and how it is divided: all that processes are told of data.

    Attributes:
        data_root, cache_dir: where the data comes from; the other fields are those of ``SearchConfig``.
    """

    dataset: str
    data_root: str | None
    cache_dir: str
    input_size: int
    class_map: str
    max_bad_files: int
    fit: str
    group_regex: str
    sample_bits: int
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

    def to_json(self) -> bytes:
        """For the process's standard input."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> PrepareRequest:
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        return cls(**content | {"data": DataRequest(**content["data"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareProgress:
    """How far it is: one line each before the answer.

    Attributes:
        done, total: files.
    """

    done: int
    total: int

    def to_json(self) -> bytes:
        """For the process's standard output."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> PrepareProgress:
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareAnswer:
    """How it went: either ``dataset`` or what is wrong.

    Attributes:
        dataset: what ``nas.data.describe`` and ``inspect_division`` returned, the latter as ``division``.
        error: name of the error in ``nas.data``; empty if there is none.
        message: of it, one sentence.
    """

    dataset: dict[str, Any] | None = None
    error: str = ""
    message: str = ""

    def to_json(self) -> bytes:
        """For the process's standard output, as its last line."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> PrepareAnswer:
        """Read the last line of what the process wrote."""
        return cls(**json.loads(text.rpartition(b"\n")[2]))
