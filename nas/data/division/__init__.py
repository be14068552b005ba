# SPDX-License-Identifier: Apache-2.0
"""Divides a data set into train, validation and test, and checks that no group lies in two parts."""

from __future__ import annotations

from nas.data.division.counts import inspect_division, report_division
from nas.data.division.splits import Split, describe, find_leaks, split

__all__ = [
    "Split",
    "describe",
    "find_leaks",
    "inspect_division",
    "report_division",
    "split",
]
