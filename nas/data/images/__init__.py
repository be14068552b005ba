# SPDX-License-Identifier: Apache-2.0
"""Prepares a folder of image files as a data set: surveys it, chooses its images, decodes them, reports on it."""

from __future__ import annotations

from nas.data.images.plan import ImageOptions, Plan, locate, make_plan
from nas.data.images.reading import InProcess, Progress, Reader, Reading, Surveyed, Wanted, read_file
from nas.data.images.report import IngestReport, report_path_of, say_dark
from nas.data.images.source import ImageSource

__all__ = [
    "ImageOptions",
    "ImageSource",
    "InProcess",
    "IngestReport",
    "Plan",
    "Progress",
    "Reader",
    "Reading",
    "Surveyed",
    "Wanted",
    "locate",
    "make_plan",
    "read_file",
    "report_path_of",
    "say_dark",
]
