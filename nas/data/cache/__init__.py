# SPDX-License-Identifier: Apache-2.0
"""Keeps prepared data sets on disk: an array of images each, with a fingerprint, mapped into memory."""

from __future__ import annotations

from nas.data.cache.building import entry_of, open_or_build
from nas.data.cache.dataset import CachedDataset
from nas.data.cache.entry import find_by_fingerprint

__all__ = [
    "CachedDataset",
    "entry_of",
    "find_by_fingerprint",
    "open_or_build",
]
