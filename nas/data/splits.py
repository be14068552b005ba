# SPDX-License-Identifier: Apache-2.0
"""Division of a data set into train, validation and test, a function of its labels, the seed and the train limit.

The publisher's parts stay what they are. What is missing is taken from the training part, or from the whole if there
are no parts at all. A tenth is for test; what is left is the pool. The train limit cuts the pool, then validation is
taken from it: a tenth of the publisher's training part, or a ninth of what is left of a set without parts, so that
train, test and validation are 80/10/10 of the whole; or an eighteenth for 85/10/5, as the data set says.

Images that belong together, such as those of one patient, are in one part: where there are such groups, all of this is
done to groups instead of images. A group counts for the rarest of its classes, and a check at the end looks for groups
in two parts.

Rounding: a part's size is its share of the images, halves up. Its images are spread over the classes by largest
remainder, a tie to the class named first, but no class gives fewer than one image to a part or more than leaves one
for each later part. Within a class they are drawn in an order that depends on the seed alone, so that the train limit
changes nothing about the test part.

Shapes: N images of the whole set, U units of what is divided: images, or groups of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from nas.data.cache import CachedDataset
from nas.data.errors import LeakError, SplitError
from nas.seeds import derive_seed

_Indices = npt.NDArray[np.int64]

_TEST = 10
"""One image in ten is for test where the publisher made no test part."""
_VALIDATION = 10
"""One image in ten of the publisher's training part is for validation."""


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Units:
    """What is divided.

    Attributes:
        labels_U: class that a unit counts for.
        images: of each unit; None if the units are the images from 0 on.
        noun: for messages.
    """

    labels_U: npt.NDArray[np.int64]
    images: tuple[_Indices, ...] | None
    noun: str

    def expand(self, units: _Indices) -> _Indices:
        """Images of the units."""
        return units if self.images is None else np.concatenate([self.images[unit] for unit in units])


def split(dataset: CachedDataset, *, seed: int, train_limit: int = 0) -> Split:
    """Divide a data set; every part has every class, and no group lies in two parts.

    Args:
        dataset: what ``prepare`` or ``open_cached`` returned.
        seed: the seed of the search.
        train_limit: most images for train and validation together; 0 means all.

    Raises:
        SplitError: a class has too few images, or the train limit is too low.
        LeakError: the publisher's parts have groups in common.
    """
    validation, test = _published_parts(dataset)
    has_validation, has_test = dataset.validation_start is not None, dataset.test_start is not None
    units = _make_units(dataset, len(dataset.labels_N) - len(validation) - len(test))
    pool = _shuffled(len(units.labels_U), derive_seed(seed, "split"))
    needed = 1 + (not has_validation) + (not has_test)
    has_parts = has_validation or has_test
    _require_each_class(dataset, units, pool, needed, "the training part" if has_parts else "the data set")
    if has_validation:
        _require_each_class(dataset, _images_alone(dataset), validation, 1, "the validation part")
    if has_test:
        _require_each_class(dataset, _images_alone(dataset), test, 1, "the test part")
    else:
        seats = _seats(dataset, units, len(pool), _TEST, "test")
        taken, pool = _take(pool, units, dataset, seats, least=1, keep=needed - 1)
        test = units.expand(taken)
    if has_validation:
        train, validation = _cut_both(dataset, units, pool, validation, train_limit, derive_seed(seed, "validation"))
    else:
        one_in = _VALIDATION if has_parts else 90 // dataset.validation_percent
        train, validation = _divide_pool(dataset, units, pool, one_in, train_limit)
    return _seal(dataset, train=train, validation=validation, test=test)


def _published_parts(dataset: CachedDataset) -> tuple[_Indices, _Indices]:
    """Validation and test as the publisher made them; empty where he made none."""
    end = len(dataset.labels_N)
    test_start = end if dataset.test_start is None else dataset.test_start
    validation_start = test_start if dataset.validation_start is None else dataset.validation_start
    return np.arange(validation_start, test_start), np.arange(test_start, end)


def _divide_pool(
    dataset: CachedDataset, units: _Units, pool: _Indices, one_in: int, train_limit: int
) -> tuple[_Indices, _Indices]:
    """Cut the pool to the train limit and divide it into train and validation."""
    size = _units_within(dataset, units, pool, train_limit)
    seats = _seats(dataset, units, size, one_in, "validation")
    if size < len(pool):
        pool, _ = _take(pool, units, dataset, size, least=2, keep=0)
    validation, train = _take(pool, units, dataset, seats, least=1, keep=1)
    return units.expand(train), units.expand(validation)


def _cut_both(
    dataset: CachedDataset, units: _Units, pool: _Indices, validation: _Indices, train_limit: int, seed: int
) -> tuple[_Indices, _Indices]:
    """Cut the pool and the publisher's validation part to the train limit, both by the same share."""
    train = units.expand(pool)
    total, classes = len(train) + len(validation), len(dataset.class_names)
    if not train_limit or train_limit >= total:
        return train, validation
    seats = (2 * train_limit * len(validation) + total) // (2 * total)
    size = _units_within(dataset, units, pool, train_limit - seats)
    if min(seats, size) < classes:
        reason = f"the train limit leaves {seats} images for validation and {size} {units.noun} for train"
        raise SplitError(dataset.name, f"{reason}, and there are {classes} classes, so raise it")
    pool, _ = _take(pool, units, dataset, size, least=1, keep=0)
    images = _images_alone(dataset)
    validation, _ = _take(validation[_shuffled(len(validation), seed)], images, dataset, seats, least=1, keep=0)
    return units.expand(pool), validation


def find_leaks(dataset: CachedDataset, parts: Split) -> tuple[int, ...]:
    """Return the groups that have images in more than one part, which no division may have."""
    if dataset.groups_N is None:
        return ()
    groups = [np.unique(dataset.groups_N[part]) for part in (parts.train, parts.validation, parts.test)]
    found, times = np.unique(np.concatenate(groups), return_counts=True)
    return tuple(found[times > 1].tolist())


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
        "warnings": list(dataset.warnings),
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


def _images_alone(dataset: CachedDataset) -> _Units:
    return _Units(labels_U=dataset.labels_N, images=None, noun="images")


def _make_units(dataset: CachedDataset, count: int) -> _Units:
    """Say what of the first ``count`` images is divided."""
    labels_N = dataset.labels_N[:count]
    if dataset.groups_N is None:
        return _Units(labels_U=labels_N, images=None, noun="images")
    groups, unit_of_N = np.unique(dataset.groups_N[:count], return_inverse=True)
    classes = len(dataset.class_names)
    counts_UC = np.zeros((len(groups), classes), np.int64)
    np.add.at(counts_UC, (unit_of_N, labels_N), 1)
    rarest_first = np.argsort(np.bincount(labels_N, minlength=classes), kind="stable")
    labels_U = rarest_first[(counts_UC[:, rarest_first] > 0).argmax(axis=1)]
    by_unit = np.split(np.argsort(unit_of_N, kind="stable"), np.cumsum(np.bincount(unit_of_N))[:-1])
    return _Units(labels_U=labels_U, images=tuple(by_unit), noun="patients")


def _units_within(dataset: CachedDataset, units: _Units, pool: _Indices, limit: int) -> int:
    """Most units of the pool whose images are no more than the limit; 0 means no limit."""
    images = len(units.expand(pool))
    if not limit or limit >= images:
        return len(pool)
    size = len(pool) * limit // images
    lowest = 2 * len(dataset.class_names)
    while size > lowest and len(units.expand(_take(pool, units, dataset, size, least=1, keep=0)[0])) > limit:
        size -= 1
    return size


def _seats(dataset: CachedDataset, units: _Units, count: int, one_in: int, part: str) -> int:
    """One in ``one_in`` of the units, halves up."""
    classes = len(dataset.class_names)
    seats = (2 * count + one_in) // (2 * one_in)
    if seats < classes:
        lowest = (2 * classes - 1) * one_in // 2 + (2 * classes - 1) * one_in % 2
        there = f"{part} would get {seats} of {count} {units.noun}, and there are {classes} classes"
        reason = f"{there}; it takes {lowest} {units.noun}, so raise the train limit or use a larger data set"
        raise SplitError(dataset.name, reason)
    return seats


def _require_each_class(dataset: CachedDataset, units: _Units, chosen: _Indices, least: int, where: str) -> None:
    counts = np.bincount(units.labels_U[chosen], minlength=len(dataset.class_names))
    scarce = int(counts.argmin())
    if counts[scarce] < least:
        need = (
            f"{counts[scarce]} of the {least} {units.noun} that it needs in {where}, one for each part taken from there"
        )
        reason = f"class {dataset.class_names[scarce]!r} has only {need}"
        raise SplitError(dataset.name, reason)


def _take(
    order: _Indices, units: _Units, dataset: CachedDataset, seats: int, *, least: int, keep: int
) -> tuple[_Indices, _Indices]:
    """Take the first units of each class in the given order; return them and the rest, still in order by class."""
    by_class = [order[units.labels_U[order] == label] for label in range(len(dataset.class_names))]
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
    found = Split(**parts, fingerprint=digest.hexdigest())
    leaks = find_leaks(dataset, found)
    if leaks:
        reason = f"{len(leaks)} patients have images in more than one part, so the accuracy would flatter"
        raise LeakError(dataset.name, f"{reason}; put all images of a patient into one part")
    return found
