# SPDX-License-Identifier: Apache-2.0
"""Every data set by name, and the one way to get it ready: find, check, cache, open."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import CATALOGUE, DatasetInfo, InputShape
from nas.data.cache import INGEST_VERSION, CachedDataset, find_intact, locked, write
from nas.data.digits import DigitsSource
from nas.data.errors import CacheError, CorruptFileError, UnknownDatasetError
from nas.data.idx import IdxSource
from nas.data.source import Source, resize

SOURCES: dict[str, Callable[[DatasetInfo, Path | None], Source]] = {
    "digits": lambda info, data_root: DigitsSource(),
    "mnist": IdxSource,
    "fashion-mnist": IdxSource,
}
"""What reads each data set of the catalogue."""


def prepare(dataset: str, *, data_root: Path | None, cache_dir: Path, input_size: int = 0) -> CachedDataset:
    """Find a data set, check it and open its cache, which is built first if there is no intact one.

    Safe to call from several processes at once: one builds, the others wait and use what it built.

    Args:
        dataset: a name of ``nas.config.CATALOGUE``.
        data_root: folder that holds the source files in ``<data root>/<name>``; None if the server has none.
        cache_dir: folder for caches, made if it is missing.
        input_size: side in pixels to scale the images to, bilinearly; 0 means the data set's own size.

    Raises:
        UnknownDatasetError: no such data set.
        MissingDataRootError, MissingFilesError: the source is not there.
        CorruptFileError: the source cannot be used.
        CacheError: the cache cannot be written.
    """
    info = CATALOGUE.get(dataset)
    if info is None:
        raise UnknownDatasetError(dataset, tuple(sorted(CATALOGUE)))
    shape = replace(info.shape, height=input_size, width=input_size) if input_size else info.shape
    source = SOURCES[dataset](info, data_root)
    fingerprint = source.fingerprint()
    key = hashlib.sha256(f"{INGEST_VERSION}/{fingerprint}/{shape}".encode()).hexdigest()[:16]
    path = cache_dir / f"{dataset}-{shape}-{key}"
    return find_intact(path) or _build(path, info, shape, source, fingerprint)


def _build(path: Path, info: DatasetInfo, shape: InputShape, source: Source, fingerprint: str) -> CachedDataset:
    with locked(path.parent, path.name):
        built_by_another = find_intact(path)
        if built_by_another is not None:
            return built_by_another
        contents = source.read()
        batches_nCHW = _unchanged(contents.batches_nCHW, info.name, source, fingerprint)
        contents = replace(contents, batches_nCHW=resize(batches_nCHW, shape.height, shape.width))
        write(path, name=info.name, shape=shape, contents=contents)
        built = find_intact(path)
    if built is None:
        raise CacheError(
            path.name, "reads back other bytes than were written; check the disk of the server's state folder"
        )
    return built


def _unchanged(
    batches_nCHW: Iterator[npt.NDArray[np.uint8]], dataset: str, source: Source, fingerprint: str
) -> Iterator[npt.NDArray[np.uint8]]:
    yield from batches_nCHW
    if source.fingerprint() != fingerprint:
        raise CorruptFileError(f"<data root>/{dataset}", "changed while it was read")
