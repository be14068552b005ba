# SPDX-License-Identifier: Apache-2.0
"""Every data set becomes one fingerprinted uint8 array that is mapped into memory, and one seeded division of it."""

from __future__ import annotations

from nas.data.cache import CachedDataset, find_by_fingerprint, open_cached
from nas.data.decode import Limits
from nas.data.download import download
from nas.data.errors import (
    CacheError,
    CorruptFileError,
    DatasetError,
    DownloadError,
    EmptyFolderError,
    FolderError,
    LeakError,
    MissingDataRootError,
    MissingFilesError,
    MissingFolderError,
    OneClassError,
    PathOutsideError,
    SplitError,
    UnknownDatasetError,
    UnreadableImagesError,
)
from nas.data.plan import ImageOptions
from nas.data.reading import InProcess
from nas.data.registry import prepare
from nas.data.splits import Split, describe, find_leaks, split

__all__ = [
    "CacheError",
    "CachedDataset",
    "CorruptFileError",
    "DatasetError",
    "DownloadError",
    "EmptyFolderError",
    "FolderError",
    "ImageOptions",
    "InProcess",
    "LeakError",
    "Limits",
    "MissingDataRootError",
    "MissingFilesError",
    "MissingFolderError",
    "OneClassError",
    "PathOutsideError",
    "Split",
    "SplitError",
    "UnknownDatasetError",
    "UnreadableImagesError",
    "describe",
    "download",
    "find_by_fingerprint",
    "find_leaks",
    "open_cached",
    "prepare",
    "split",
]
