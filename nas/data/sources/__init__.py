# SPDX-License-Identifier: Apache-2.0
"""Data sets with a publisher, and what every data set hands over to be cached."""

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
