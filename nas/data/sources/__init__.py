# SPDX-License-Identifier: Apache-2.0
"""Reads published data sets, and defines what any source of a data set provides."""

from __future__ import annotations

from nas.data.sources.digits import DigitsSource
from nas.data.sources.idx import IdxSource
from nas.data.sources.mirrors import download
from nas.data.sources.source import Contents, Source

__all__ = [
    "Contents",
    "DigitsSource",
    "IdxSource",
    "Source",
    "download",
]
