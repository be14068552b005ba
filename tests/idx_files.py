# SPDX-License-Identifier: Apache-2.0
"""Writes small data sets in the IDX format, so that no test needs a download."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


def idx_bytes(values: npt.NDArray[np.uint8]) -> bytes:
    """One IDX file of bytes: magic number, big-endian sizes, values."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx_set(
    folder: Path, *, train_per_class: int = 3, test_per_class: int = 1, packed: bool = False, side: int = 28
) -> None:
    """Write the four files of a ten-class set; image i of a part is filled with i, its label is i modulo 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for images_name, labels_name, count in (
        (TRAIN_IMAGES, TRAIN_LABELS, 10 * train_per_class),
        (TEST_IMAGES, TEST_LABELS, 10 * test_per_class),
    ):
        numbers = np.arange(count, dtype=np.uint8)
        images = np.broadcast_to(numbers[:, np.newaxis, np.newaxis], (count, side, side))
        for name, values in ((images_name, images), (labels_name, numbers % 10)):
            content = idx_bytes(values)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
