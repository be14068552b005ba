# SPDX-License-Identifier: Apache-2.0
"""Every data set becomes one fingerprinted uint8 array that is mapped into memory, and one seeded division of it."""

from __future__ import annotations

from nas.data.cache import CachedDataset, open_cached
from nas.data.errors import (
    CacheError,
    CorruptFileError,
    DatasetError,
    MissingDataRootError,
    MissingFilesError,
    SplitError,
    UnknownDatasetError,
)
from nas.data.registry import prepare
from nas.data.splits import Split, describe, split

__all__ = [
    "CacheError",
    "CachedDataset",
    "CorruptFileError",
    "DatasetError",
    "MissingDataRootError",
    "MissingFilesError",
    "Split",
    "SplitError",
    "UnknownDatasetError",
    "describe",
    "open_cached",
    "prepare",
    "split",
]
