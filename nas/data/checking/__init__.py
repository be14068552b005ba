# SPDX-License-Identifier: Apache-2.0
"""The check of a data set before a search: all that a search would refuse or warn of, by name."""

from __future__ import annotations

from nas.data.checking.findings import Finding, Inspection, Kind, Level
from nas.data.checking.inspection import check

__all__ = [
    "Finding",
    "Inspection",
    "Kind",
    "Level",
    "check",
]
