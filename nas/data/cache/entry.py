# SPDX-License-Identifier: Apache-2.0
"""One data set in the cache, called an entry: a folder with these files.

    images.uint8       all images, N x C x H x W bytes
    labels.int64       labels, N little-endian int64
    groups.int64       groups, such as patients, in the same form; only if the data set has groups
    meta.json          name, class names, shape, parts, ingest version, SHA-256 of the arrays
    meta.json.sha256   SHA-256 of meta.json: the fingerprint of the data set

So the fingerprint covers every byte. An entry is written to a temporary folder, synced to disk and renamed, under a
lock. If a process is killed meanwhile, the entry is either complete or not there.

Shapes: N images of the whole set or n of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.config import InputShape
from nas.data.cache.dataset import CachedDataset
from nas.data.errors import CacheError, cannot_write
from nas.data.sources import Contents
from nas.durable import sync_folder

INGEST_VERSION = 1
"""Part of every fingerprint. Increase it when the same source files give other bytes than before."""

_IMAGES = "images.uint8"
_LABELS = "labels.int64"
_GROUPS = "groups.int64"
_META = "meta.json"
_FINGERPRINT = "meta.json.sha256"
_LABEL = np.dtype("<i8")
_BUILDING = ".building"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meta:
    """The content of ``meta.json``; equal for equal data sets."""

    ingest_version: int
    name: str
    class_names: tuple[str, ...]
    shape: InputShape
    test_start: int | None
    images: int
    images_sha256: str
    labels_sha256: str
    validation_start: int | None = None
    validation_percent: int = 10
    groups_sha256: str | None = None

    def to_json(self) -> bytes:
        """Write canonical JSON: sorted keys, no white space, ASCII; defaults are left out, as in older caches."""
        defaults = {field.name: field.default for field in fields(self)}
        content = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> _Meta:
        """Read what ``to_json`` wrote; the caller has compared the SHA-256."""
        content = json.loads(text)
        revived = {"class_names": tuple(content["class_names"]), "shape": InputShape(**content["shape"])}
        return cls(**content | revived)


def find_intact(path: Path) -> CachedDataset | None:
    """Open a cached data set if every byte of it is as it was written.

    Returns:
        None if the folder is missing or damaged.
    """
    try:
        fingerprint = (path / _FINGERPRINT).read_text("ascii", errors="replace")
        text = (path / _META).read_bytes()
        return _open(path, fingerprint, _Meta.from_json(text)) if _sha256([text]) == fingerprint else None
    except OSError:
        return None


def find_by_fingerprint(cache_dir: Path, fingerprint: str) -> CachedDataset | None:
    """Open the cached data set that a search was started with; its source is not looked at.

    Args:
        cache_dir: as given to ``prepare``.
        fingerprint: ``CachedDataset.fingerprint``.

    Returns:
        None if there is no such data set in the cache, or if it is damaged.
    """
    for file in cache_dir.glob(f"*/{_FINGERPRINT}"):
        if (
            file.read_text("ascii", errors="replace") == fingerprint
            and (cached := find_intact(file.parent)) is not None
        ):
            return cached
    return None


@contextmanager
def locked(cache_dir: Path, entry: str) -> Iterator[None]:
    """Make the cache folder and lock it against other processes that build; delete what a killed one left behind.

    Args:
        cache_dir: the folder.
        entry: name of the entry that is built, for messages.

    Raises:
        CacheError: the folder cannot be made or written, or the ``with`` block raised ``OSError``.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(cache_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it, however this process ends
            _sweep(cache_dir)
            try:
                yield
            finally:
                _sweep(cache_dir)
        finally:
            os.close(lock)
    except OSError as error:
        raise cannot_write(entry, error) from error


def write(path: Path, *, name: str, shape: InputShape, contents: Contents) -> None:
    """Write a data set to ``path`` and replace a damaged one; the caller holds the lock of ``locked``.

    Raises:
        CacheError: the disk is too small.
        DatasetError: the source cannot be read.
    """
    count = len(contents.labels_N)
    groups_N = contents.groups_N
    columns = 1 if groups_N is None else 2
    needed = count * (shape.channels * shape.height * shape.width + columns * _LABEL.itemsize)
    _require_disk(path, needed)
    building = path.parent / _BUILDING
    building.mkdir()
    images_sha256 = _write_synced(building / _IMAGES, (np.ascontiguousarray(x).data for x in contents.batches_nCHW))
    labels_sha256 = _write_synced(building / _LABELS, [contents.labels_N.astype(_LABEL).data])
    groups_sha256 = None if groups_N is None else _write_synced(building / _GROUPS, [groups_N.astype(_LABEL).data])
    if sum(file.stat().st_size for file in building.iterdir()) != needed:
        raise CacheError(path.name, f"would not hold {count} images of {shape}, one for each label")
    meta = _Meta(
        ingest_version=INGEST_VERSION,
        name=name,
        class_names=contents.class_names,
        shape=shape,
        test_start=contents.test_start,
        images=count,
        images_sha256=images_sha256,
        labels_sha256=labels_sha256,
        validation_start=contents.validation_start,
        validation_percent=contents.validation_percent,
        groups_sha256=groups_sha256,
    )
    fingerprint = _write_synced(building / _META, [meta.to_json()])
    _write_synced(building / _FINGERPRINT, [fingerprint.encode()])
    sync_folder(building)
    if path.exists():
        shutil.rmtree(path)  # a process that has mapped it keeps its pages
    building.rename(path)
    sync_folder(path.parent)


def _require_disk(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise CacheError(path.name, f"needs {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free")


def _open(path: Path, fingerprint: str, meta: _Meta) -> CachedDataset | None:
    """Open the arrays that ``meta`` describes; None if one of them is damaged.

    Raises:
        OSError: a file is missing or cannot be read.
    """
    shape_NCHW = (meta.images, meta.shape.channels, meta.shape.height, meta.shape.width)
    labels, groups = (path / _LABELS).read_bytes(), b""
    if (path / _IMAGES).stat().st_size != math.prod(shape_NCHW) or _sha256([labels]) != meta.labels_sha256:
        return None
    if meta.groups_sha256 is not None:
        groups = (path / _GROUPS).read_bytes()
        if _sha256([groups]) != meta.groups_sha256:
            return None
    images_NCHW = np.memmap(path / _IMAGES, np.uint8, mode="r", shape=shape_NCHW)
    if _sha256([images_NCHW.data]) != meta.images_sha256:
        return None
    return CachedDataset(
        name=meta.name,
        images_NCHW=images_NCHW,
        labels_N=_to_column(labels),
        class_names=meta.class_names,
        shape=meta.shape,
        test_start=meta.test_start,
        fingerprint=fingerprint,
        path=path,
        validation_start=meta.validation_start,
        validation_percent=meta.validation_percent,
        groups_N=None if meta.groups_sha256 is None else _to_column(groups),
    )


def _to_column(content: bytes) -> npt.NDArray[np.int64]:
    """Return the numbers of a file of labels or groups; the array cannot be written."""
    return np.frombuffer(content, _LABEL).astype(np.int64, copy=False)


def _sha256(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> str:
    """Write a file, sync it to the disk, and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _sweep(cache_dir: Path) -> None:
    if (cache_dir / _BUILDING).exists():
        shutil.rmtree(cache_dir / _BUILDING)
