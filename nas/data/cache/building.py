# SPDX-License-Identifier: Apache-2.0
"""Opens the entry of a source in the cache, and builds it if it is missing or damaged.

Shapes: N images of the whole set or n of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.config import InputShape
from nas.data.cache.dataset import CachedDataset
from nas.data.cache.entry import INGEST_VERSION, find_intact, locked, write
from nas.data.errors import CacheError, CorruptFileError
from nas.data.sources import Source

_BATCH_BYTES = 16 * 2**20
"""Most bytes of scaled images in memory at a time; one image at least."""


def entry_of(cache_dir: Path, name: str, shape: InputShape, fingerprint: str) -> Path:
    """Return the folder in the cache for a source with this fingerprint and images of this shape."""
    key = hashlib.sha256(f"{INGEST_VERSION}/{fingerprint}/{shape}".encode()).hexdigest()[:16]
    return cache_dir / f"{name}-{shape}-{key}"


def open_or_build(
    path: Path,
    name: str,
    shape: InputShape,
    source: Source,
    fingerprint: str,
    is_complete: Callable[[], bool] = lambda: True,
) -> CachedDataset:
    """Open an entry of the cache; if it is missing or damaged, build it first.

    To build is to read the source, bring its images to ``shape`` and write them. Safe to call from several processes at
    once: one builds, the others wait and open what it built.

    Args:
        path: folder of the entry, from ``entry_of``.
        name: name of the data set.
        shape: shape of the images in the cache.
        source: the source of the data set.
        fingerprint: fingerprint of the source when ``path`` was computed.
        is_complete: tells whether the files that belong beside the entry exist; if not, the entry is built again.

    Raises:
        CorruptFileError: the source changed while it was read.
        DatasetError: the source cannot be used.
        CacheError: the entry cannot be written, or reads back other bytes than were written.
    """
    if is_complete() and (there := find_intact(path)) is not None:
        return there
    with locked(path.parent, path.name):
        if is_complete() and (built_by_another := find_intact(path)) is not None:
            return built_by_another
        contents = source.read()
        batches_nCHW = _unchanged(contents.batches_nCHW, path.name.partition("-")[0], source, fingerprint)
        contents = replace(contents, batches_nCHW=_resize(batches_nCHW, shape.height, shape.width))
        write(path, name=name, shape=shape, contents=contents)
        built = find_intact(path)
    if built is None:
        reason = "reads back other bytes than were written; check the disk of the server's state folder"
        raise CacheError(path.name, reason)
    return built


def _unchanged(
    batches_nCHW: Iterator[npt.NDArray[np.uint8]], dataset: str, source: Source, fingerprint: str
) -> Iterator[npt.NDArray[np.uint8]]:
    yield from batches_nCHW
    if source.fingerprint() != fingerprint:
        raise CorruptFileError(f"<data root>/{dataset}", "changed while it was read")


def _resize(batches_nCHW: Iterator[npt.NDArray[np.uint8]], height: int, width: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Scale images to ``height`` x ``width`` pixels, bilinearly, channel by channel.

    When Pillow shrinks an image, its bilinear filter averages over all pixels that become one.
    """
    for batch_nCHW in batches_nCHW:
        images, channels, *size = batch_nCHW.shape
        if size == [height, width]:
            yield batch_nCHW
            continue
        step = max(1, _BATCH_BYTES // (channels * height * width))
        for start in range(0, images, step):
            part_nCHW = batch_nCHW[start : start + step]
            resized_nCHW = np.empty((len(part_nCHW), channels, height, width), np.uint8)
            for image, channel in np.ndindex(len(part_nCHW), channels):
                plane = Image.fromarray(part_nCHW[image, channel])
                resized_nCHW[image, channel] = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
            yield resized_nCHW
