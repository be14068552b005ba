# SPDX-License-Identifier: Apache-2.0
"""Counts what each part of a division got and what leaks between parts; no names of files or patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nas.data.cache import CachedDataset
from nas.data.division.splits import Split, find_leaks
from nas.data.images import IngestReport, report_path_of


def inspect_division(dataset: CachedDataset, parts: Split) -> dict[str, object]:
    """Count the content of each part, and what lies in more than one part.

    Returns:
        Plain JSON values: per part the images of each class and the number of patients, where the patients come from,
        and the numbers of images and patients that lie in two parts.
    """
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    groups_N, classes = dataset.groups_N, len(dataset.class_names)
    _, times = np.unique(np.concatenate(list(named.values())), return_counts=True)
    patients = None
    if groups_N is not None:
        patients = {name: len(np.unique(groups_N[part])) for name, part in named.items()}
    return {
        "images": {
            name: np.bincount(dataset.labels_N[part], minlength=classes).tolist() for name, part in named.items()
        },
        "patients": patients,
        "patients_from": dataset.patients_from.name,
        "leaks": {"images": int((times > 1).sum()), "patients": len(find_leaks(dataset, parts))},
    }


def report_division(dataset: CachedDataset, parts: Split, asked: Mapping[str, int]) -> None:
    """Write the division of a folder into its report; data sets without a report are left alone.

    Args:
        dataset: the data set.
        parts: its division.
        asked: the arguments of ``split`` besides the data set.
    """
    path = report_path_of(dataset.path)
    report = IngestReport.load(path)
    division = {**asked, **inspect_division(dataset, parts)}
    if report is not None and report.division != division:
        replace(report, division=division).save(path)
