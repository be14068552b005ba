# SPDX-License-Identifier: Apache-2.0
"""What a data-set family hands over: labels at once, images in batches, so that no set has to fit into memory.

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
    """One data set as its publisher made it.

    Attributes:
        labels_N: int64, from 0; the publisher's training part first, then the validation part, then the test part.
        class_names: one a class, in the order of the labels.
        test_start: index of the first image of the publisher's test part; None if there is none.
        batches_nCHW: the images in the order of the labels, uint8; reading may still raise ``CorruptFileError``.
        validation_start: index of the first image of the publisher's validation part; None if there is none.
        validation_percent: share of the whole that goes to validation where the publisher made no parts.
        groups_N: int64, equal for images that must lie in one part, such as those of one patient; None if none must.
    """

    labels_N: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    test_start: int | None
    batches_nCHW: Iterator[npt.NDArray[np.uint8]]
    validation_start: int | None = None
    validation_percent: int = 10
    groups_N: npt.NDArray[np.int64] | None = None


class Source(Protocol):
    """Where one data set comes from; cheap to make, reads nothing before it is asked."""

    def fingerprint(self) -> str:
        """SHA-256 of what would be read, without decoding it.

        Raises:
            DatasetError: the files are missing or cannot be read.
        """

    def read(self) -> Contents:
        """Check the source and start to read it.

        Raises:
            DatasetError: the files are missing or cannot be used.
        """
