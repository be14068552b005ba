# SPDX-License-Identifier: Apache-2.0
"""Reads data sets of four IDX files, gzip or plain: MNIST (LeCun et al. 1998), Fashion-MNIST (Xiao et al. 2017).

An IDX file starts with the bytes ``00 00 type dims`` and one big-endian uint32 per dimension; the values follow. The
sizes in a header are compared with the size of the file before memory is allocated for them.

Shapes: N images of a file or n of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.catalogue import DatasetInfo
from nas.data.errors import CorruptFileError
from nas.data.sources.files import SourceFile, find_files
from nas.data.sources.source import Contents

_UNSIGNED_BYTE = 0x08
_MOST_BYTES = 4 * 2**30
"""Largest unpacked file that is read."""
_BATCH = 4096
"""Images that are read at a time; 3 MiB for MNIST."""

CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
"""Class names by data set, in the order of the labels; those of Fashion-MNIST are from its README."""


@dataclass(frozen=True, slots=True)
class IdxSource:
    """A data set of four files: training images, training labels, test images and test labels.

    Attributes:
        info: the data set.
        data_root: None if the server has none.
        folder: folder below the data root; empty for the name of the data set.
    """

    info: DatasetInfo
    data_root: Path | None
    folder: str = ""

    def fingerprint(self) -> str:
        """Return a SHA-256 over the four files on disk, without unpacking them."""
        digests = [file.sha256() for file in find_files(self.info, self.data_root, self.folder)]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def read(self) -> Contents:
        """Check all headers and all labels; the images are unpacked batch by batch later."""
        train_images, train_labels, test_images, test_labels = find_files(self.info, self.data_root, self.folder)
        assert self.info.shape is not None  # noqa: S101 - as in the catalogue
        size = (self.info.shape.height, self.info.shape.width)
        train_N = _read_labels(train_labels, self.info.classes, _count_images(train_images, size))
        test_N = _read_labels(test_labels, self.info.classes, _count_images(test_images, size))
        return Contents(
            labels_N=np.concatenate((train_N, test_N)),
            class_names=CLASS_NAMES[self.info.name],
            test_start=len(train_N),
            batches_nCHW=chain(_read_images(train_images), _read_images(test_images)),
        )


def _read_header(file: SourceFile, stream: BufferedIOBase, holds: range, dims: int) -> tuple[int, ...]:
    """Read the dimensions of an IDX file of bytes and check them against the size of the file."""
    header = stream.read(4 + 4 * dims)
    if len(header) < 4 + 4 * dims:
        raise CorruptFileError(file.name, "ends within its header")
    zero, kind, found_dims = struct.unpack_from(">HBB", header)
    if zero != 0 or kind != _UNSIGNED_BYTE or found_dims != dims:
        expected = f"0000{_UNSIGNED_BYTE:02x}{dims:02x}"
        raise CorruptFileError(
            file.name, f"starts with {header[:4].hex()}, not {expected} as its kind of IDX file does"
        )
    sizes = struct.unpack_from(f">{dims}I", header, 4)
    declared = math.prod(sizes)
    if declared == 0:
        raise CorruptFileError(file.name, "declares no values")
    if declared > _MOST_BYTES:
        raise CorruptFileError(file.name, f"declares {declared} bytes of values, more than the {_MOST_BYTES} allowed")
    if len(header) + declared not in holds:
        raise CorruptFileError(file.name, f"declares {declared} bytes of values, which do not fit its size")
    return sizes


def _read_values(file: SourceFile, stream: BufferedIOBase, count: int) -> npt.NDArray[np.uint8]:
    values = stream.read(count)
    if len(values) < count:
        raise CorruptFileError(file.name, "ends before the last value that its header declares")
    return np.frombuffer(values, np.uint8)


def _check_end(file: SourceFile, stream: BufferedIOBase) -> None:
    if stream.read(1):  # at the end of the stream gzip also compares its checksum
        raise CorruptFileError(file.name, "goes on after the last value that its header declares")


def _count_images(file: SourceFile, size: tuple[int, int]) -> int:
    with file.open() as (stream, holds):
        count, *found_size = _read_header(file, stream, holds, dims=3)
    if tuple(found_size) != size:
        found, expected = ("x".join(map(str, sides)) for sides in (found_size, size))
        raise CorruptFileError(file.name, f"holds images of {found} pixels, not {expected}")
    return count


def _read_labels(file: SourceFile, classes: int, images: int) -> npt.NDArray[np.int64]:
    with file.open() as (stream, holds):
        (count,) = _read_header(file, stream, holds, dims=1)
        if count != images:
            raise CorruptFileError(file.name, f"holds {count} labels for {images} images")
        labels_N = _read_values(file, stream, count).astype(np.int64)
        _check_end(file, stream)
    outside = np.flatnonzero(labels_N >= classes)
    if outside.size:
        first = int(outside[0])
        reason = f"gives image {first} the label {labels_N[first]}, and labels run from 0 to {classes - 1}"
        raise CorruptFileError(file.name, reason)
    return labels_N


def _read_images(file: SourceFile) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the images as (n, 1, H, W)."""
    with file.open() as (stream, holds):
        count, height, width = _read_header(file, stream, holds, dims=3)
        for start in range(0, count, _BATCH):
            n = min(_BATCH, count - start)
            yield _read_values(file, stream, n * height * width).reshape(n, 1, height, width)
        _check_end(file, stream)
