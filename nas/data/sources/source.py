# SPDX-License-Identifier: Apache-2.0
"""What a source of a data set provides: its labels at once, and its images in batches.

Images come in batches so that a data set may be larger than memory.

Shapes: N images of the whole set or n of a batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """The labels and images of a data set, with the publisher's parts if it has any.

    Attributes:
        labels_N: int64, from 0; first the publisher's training part, then the validation part, then the test part.
        class_names: names of the classes, in the order of the labels.
        test_start: index of the first image of the publisher's test part; None if there is none.
        batches_nCHW: the images in the order of the labels, uint8; reading a batch may raise ``CorruptFileError``.
        validation_start: index of the first image of the publisher's validation part; None if there is none.
        validation_percent: percentage of all images that goes to validation if the publisher made no parts.
        groups_N: int64, equal for images that must stay in one part, such as those of one patient; None if images have
            no groups.
    """

    labels_N: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    test_start: int | None
    batches_nCHW: Iterator[npt.NDArray[np.uint8]]
    validation_start: int | None = None
    validation_percent: int = 10
    groups_N: npt.NDArray[np.int64] | None = None


class Source(Protocol):
    """The source of a data set. Making one is cheap; files are read by its methods only."""

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes when the data set does; nothing is decoded.

        Raises:
            DatasetError: the files are missing or cannot be read.
        """

    def read(self) -> Contents:
        """Check the source and read its labels; its images are read batch by batch later.

        Raises:
            DatasetError: the files are missing or cannot be used.
        """
