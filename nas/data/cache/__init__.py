# SPDX-License-Identifier: Apache-2.0
"""Prepared data sets on disk: one array of images each, fingerprinted, mapped into memory."""

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
