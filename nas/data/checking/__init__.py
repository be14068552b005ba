# SPDX-License-Identifier: Apache-2.0
"""Checks a data set before a search: finds what a search would refuse or warn of, with names of files."""

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
