# SPDX-License-Identifier: Apache-2.0
"""A data set that is prepared for training.

Shapes: N images of the whole set, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import InputShape
from nas.folders import PatientSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CachedDataset:
    """A data set that is prepared for training.

    Attributes:
        images_NCHW: uint8, mapped read-only from the cache.
        labels_N: int64, indices into ``class_names``.
        class_names: names of the classes.
        shape: shape of one image.
        test_start: index of the first image of the publisher's test part, which comes last; None if there is none.
        fingerprint: SHA-256 over images, labels, groups, names, shape, parts and the ingest version.
        path: folder of the data set in the cache.
        validation_start: index of the first image of the publisher's validation part, which comes before the test part;
            None if there is none.
        validation_percent: percentage of all images that goes to validation if the publisher made no parts.
        groups_N: int64, equal for images that must stay in one part; None if images have no groups.
        patients_from: where the groups come from; not part of the fingerprint.
        warnings: sentences about the source for the user; not part of the fingerprint.
    """

    name: str
    images_NCHW: npt.NDArray[np.uint8]
    labels_N: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    shape: InputShape
    test_start: int | None
    fingerprint: str
    path: Path
    validation_start: int | None = None
    validation_percent: int = 10
    groups_N: npt.NDArray[np.int64] | None = None
    patients_from: PatientSource = PatientSource.NONE
    warnings: tuple[str, ...] = ()
