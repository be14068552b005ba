# SPDX-License-Identifier: Apache-2.0
"""Checks a data set of four IDX files: headers, sizes, labels, and images that are there several times."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from nas.catalogue import DatasetInfo
from nas.data.checking.findings import ClassCounts, Finding, Inspection, Kind, found
from nas.data.errors import CorruptFileError, MissingFilesError
from nas.data.sources import Contents, IdxSource


def check_idx(
    info: DatasetInfo, data_root: Path | None, path: str, *, location: str, files: int, most_names: int
) -> Inspection:
    """Check the files of MNIST or of a set like it.

    Args:
        info: the data set in the catalogue.
        data_root: data root of the server.
        path: path of the folder below the data root.
        location: path of the folder from ``<data root>`` on.
        files: number of files in the folder.
        most_names: most images that a finding names, by number.
    """
    classes: tuple[ClassCounts, ...] = ()
    images = 0
    try:
        contents = IdxSource(info, data_root, path).read()
        images, findings = len(contents.labels_N), _duplicates(contents, most_names)
        classes = _count(contents)
    except MissingFilesError as error:
        findings = [Finding(kind=Kind.UNUSABLE, sentence=str(error))]
    except CorruptFileError as error:
        findings = [Finding(kind=Kind.UNREADABLE, sentence=str(error), names=(error.file,), count=1)]
    return Inspection(
        dataset=info.name,
        location=location,
        files=files,
        images=images,
        patients=None,
        shape=str(info.shape),
        classes=classes,
        sizes=(),
        findings=tuple(findings),
    )


def _count(contents: Contents) -> tuple[ClassCounts, ...]:
    """Count the classes in the publisher's parts; a search later takes validation from the training part."""
    size = len(contents.class_names)
    all_C = np.bincount(contents.labels_N, minlength=size)
    test_C = np.bincount(contents.labels_N[contents.test_start :], minlength=size)
    return tuple(
        ClassCounts(
            name=name,
            images=int(all_C[label]),
            patients=None,
            train=int(all_C[label] - test_C[label]),
            validation=0,
            test=int(test_C[label]),
        )
        for label, name in enumerate(contents.class_names)
    )


def _duplicates(contents: Contents, most_names: int) -> list[Finding]:
    places: dict[bytes, list[int]] = defaultdict(list)
    number = 0
    for batch_nCHW in contents.batches_nCHW:
        for pixels_CHW in batch_nCHW:
            places[hashlib.blake2b(pixels_CHW.tobytes(), digest_size=16).digest()].append(number)
            number += 1
    same = [numbers for numbers in places.values() if len(numbers) > 1]
    start = number if contents.test_start is None else contents.test_start
    labels_N = contents.labels_N
    cases = (
        (
            Kind.LEAK,
            "images that lie in the training and in the test part",
            [numbers for numbers in same if min(numbers) < start <= max(numbers)],
        ),
        (
            Kind.TWO_CLASSES,
            "images that lie there with more than one label",
            [numbers for numbers in same if len(set(labels_N[numbers].tolist())) > 1],
        ),
        (Kind.DUPLICATE, "images that lie there more than once", same),
    )
    return [
        found(kind, sentence, [f"images {' = '.join(map(str, numbers))}" for numbers in lists], most_names)
        for kind, sentence, lists in cases
        if lists
    ]
