# SPDX-License-Identifier: Apache-2.0
"""Train, validation and test: a function of labels, groups and seed, and the proof that nothing leaks."""

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
