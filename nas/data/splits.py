# SPDX-License-Identifier: Apache-2.0
"""Division of a data set into train, validation and test, a function of its labels, the seed and the train limit.

The publisher's test part is the test part; a set without one gives a tenth of its images. The others are the pool. The
train limit cuts the pool, then validation is taken from it: a tenth of the publisher's training part, or a ninth of
what is left of a set without parts, so that train, test and validation are 80/10/10 of the whole.

Rounding: a part's size is its share of the images, halves up. Its images are spread over the classes by largest
remainder, a tie to the class named first, but no class gives fewer than one image to a part or more than leaves one
for each later part. Within a class they are drawn in an order that depends on the seed alone, so that the train limit
changes nothing about the test part.

Shape: N images of the whole set.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from nas.data.cache import CachedDataset
from nas.data.errors import SplitError
from nas.seeds import derive_seed

_Indices = npt.NDArray[np.int64]

_TEST = 10
"""A set without parts gives one image in ten to test (80/10/10)."""
_VALIDATION = 10
"""One image in ten of the publisher's training part is for validation."""
_VALIDATION_WITHOUT_PARTS = 9
"""After the test part is gone, one image in nine is a tenth of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Indices into the images of a data set, int64, ascending, no index twice.

    Attributes:
        fingerprint: SHA-256 over the data set's fingerprint and the three parts.
    """

    train: _Indices
    validation: _Indices
    test: _Indices
    fingerprint: str


def split(dataset: CachedDataset, *, seed: int, train_limit: int = 0) -> Split:
    """Divide a data set; every part has every class.

    Args:
        dataset: what ``prepare`` or ``open_cached`` returned.
        seed: the seed of the search.
        train_limit: most images for train and validation together; 0 means all.

    Raises:
        SplitError: a class has too few images, or the train limit is too low.
    """
    labels_N, classes = dataset.labels_N, len(dataset.class_names)
    draw_seed = derive_seed(seed, "split")
    if dataset.test_start is None:
        pool, one_in = _shuffled(len(labels_N), draw_seed), _VALIDATION_WITHOUT_PARTS
        _require_each_class(dataset, pool, 3, "the data set")
        test, pool = _take(pool, labels_N, classes, _seats(dataset, len(pool), _TEST, "test"), least=1, keep=2)
    else:
        pool, one_in = _shuffled(dataset.test_start, draw_seed), _VALIDATION
        test = np.arange(dataset.test_start, len(labels_N))
        _require_each_class(dataset, pool, 2, "the training part")
        _require_each_class(dataset, test, 1, "the test part")
    pool_size = min(train_limit or len(pool), len(pool))
    validation_size = _seats(dataset, pool_size, one_in, "validation")
    if pool_size < len(pool):
        pool, _ = _take(pool, labels_N, classes, pool_size, least=2, keep=0)
    validation, train = _take(pool, labels_N, classes, validation_size, least=1, keep=1)
    return _seal(dataset, train=train, validation=validation, test=test)


def describe(dataset: CachedDataset, parts: Split) -> dict[str, object]:
    """Summarise a data set and its division as plain JSON values."""
    classes = len(dataset.class_names)
    return {
        "name": dataset.name,
        "shape": asdict(dataset.shape),
        "class_names": list(dataset.class_names),
        "images_per_class": {
            part: np.bincount(dataset.labels_N[indices], minlength=classes).tolist()
            for part, indices in (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
        },
        "fingerprint": dataset.fingerprint,
        "split_fingerprint": parts.fingerprint,
    }


def apportion(counts: tuple[int, ...], seats: int, *, least: int, keep: int) -> tuple[int, ...]:
    """Spread ``seats`` over classes in proportion to their images, by largest remainder within bounds.

    Args:
        counts: images of each class, at least ``least + keep``.
        seats: from ``least`` a class to all images but ``keep`` a class.
        least: images that every class gives.
        keep: images that every class keeps.
    """
    total = sum(counts)
    given = [min(max(seats * count // total, least), count - keep) for count in counts]
    while sum(given) != seats:
        step = 1 if sum(given) < seats else -1
        movable = [k for k, count in enumerate(counts) if least <= given[k] + step <= count - keep]
        # Furthest from its exact share first, in integers: share - given = (seats * count - given * total) / total.
        furthest = max(movable, key=lambda k: step * (seats * counts[k] - given[k] * total))
        given[furthest] += step
    return tuple(given)


def _shuffled(count: int, seed: int) -> _Indices:
    """Order the indices by one raw 64-bit word of Philox each, a definition that no numpy release can change."""
    words = np.random.Philox(key=seed).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)


def _seats(dataset: CachedDataset, images: int, one_in: int, part: str) -> int:
    """One in ``one_in`` of the images, halves up."""
    classes = len(dataset.class_names)
    seats = (2 * images + one_in) // (2 * one_in)
    if seats < classes:
        lowest = (2 * classes - 1) * one_in // 2 + (2 * classes - 1) * one_in % 2
        reason = (
            f"{part} would get {seats} of {images} images, and there are {classes} classes; it takes {lowest} images"
        )
        raise SplitError(dataset.name, f"{reason}, so raise the train limit or use a larger data set")
    return seats


def _require_each_class(dataset: CachedDataset, indices: _Indices, least: int, where: str) -> None:
    counts = np.bincount(dataset.labels_N[indices], minlength=len(dataset.class_names))
    scarce = int(counts.argmin())
    if counts[scarce] < least:
        need = f"{counts[scarce]} of the {least} images that it needs in {where}, one for each part taken from there"
        reason = f"class {dataset.class_names[scarce]!r} has only {need}"
        raise SplitError(dataset.name, reason)


def _take(
    order: _Indices, labels_N: npt.NDArray[np.int64], classes: int, seats: int, *, least: int, keep: int
) -> tuple[_Indices, _Indices]:
    """Take the first images of each class in the given order; return them and the rest, still in order by class."""
    by_class = [order[labels_N[order] == label] for label in range(classes)]
    given = apportion(tuple(map(len, by_class)), seats, least=least, keep=keep)
    taken = [indices[:n] for indices, n in zip(by_class, given, strict=True)]
    rest = [indices[n:] for indices, n in zip(by_class, given, strict=True)]
    return np.concatenate(taken), np.concatenate(rest)


def _seal(dataset: CachedDataset, **parts: _Indices) -> Split:
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for name, indices in parts.items():
        indices.sort()
        indices.flags.writeable = False
        digest.update(f"/{name}/{len(indices)}/".encode())
        digest.update(indices.astype("<i8").data)
    return Split(**parts, fingerprint=digest.hexdigest())
