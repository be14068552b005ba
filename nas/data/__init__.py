# SPDX-License-Identifier: Apache-2.0
"""Prepares data sets: each becomes a fingerprinted uint8 array, mapped into memory, and is divided by a seed."""

from __future__ import annotations

from nas.data.cache import CachedDataset, find_by_fingerprint
from nas.data.checking import Finding, Inspection, Kind, Level, check
from nas.data.decoding import Header, Limits, Picture
from nas.data.division import Split, describe, find_leaks, inspect_division, report_division, split
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
from nas.data.folders import FoundFile, Tree
from nas.data.images import ImageOptions, InProcess, Progress, Reader, Reading, Wanted, read_file
from nas.data.registry import prepare
from nas.data.sources import download

__all__ = [
    "CacheError",
    "CachedDataset",
    "CorruptFileError",
    "DatasetError",
    "DownloadError",
    "EmptyFolderError",
    "Finding",
    "FolderError",
    "FoundFile",
    "Header",
    "ImageOptions",
    "InProcess",
    "Inspection",
    "Kind",
    "LeakError",
    "Level",
    "Limits",
    "MissingDataRootError",
    "MissingFilesError",
    "MissingFolderError",
    "OneClassError",
    "PathOutsideError",
    "Picture",
    "Progress",
    "Reader",
    "Reading",
    "Split",
    "SplitError",
    "Tree",
    "UnknownDatasetError",
    "UnreadableImagesError",
    "Wanted",
    "check",
    "describe",
    "download",
    "find_by_fingerprint",
    "find_leaks",
    "inspect_division",
    "prepare",
    "read_file",
    "report_division",
    "split",
]
