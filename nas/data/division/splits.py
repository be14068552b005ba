# SPDX-License-Identifier: Apache-2.0
"""Divides a data set into train, validation and test.

The division is a function of labels, groups, seed, train limit and fold. Parts that the publisher made stay as they
are. If there is no test part, a tenth of the publisher's training part becomes the test part, or a tenth of all images
if there are no parts at all. What is left of these images is the pool. The train limit reduces the pool. If there is no
validation part, it is then taken from the pool: a tenth of it if the publisher made a test part. Otherwise it is a
ninth, so that train, test and validation are 80/10/10 percent of all images, or an eighteenth for 85/10/5, as the data
set says. If the publisher made a validation part, the train limit reduces it in the same proportion as the pool.

With folds, the test part is one of the folds, and the other folds are the pool.

Images of one group, such as those of one patient, are in one part: if there are groups, groups are divided instead of
images. At the end a check looks for groups that have images in two parts.

The size of a part is its share of the images, halves rounded up. It is distributed over the classes by largest
remainder; of equal remainders the class named first is served first. Each part gets at least one image of each class,
and enough are left for the parts that follow. Within a class, images are drawn in an order that depends only on the
seed, so the train limit does not change the test part.

Shapes: N images of the whole set.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from nas.data.cache import CachedDataset
from nas.data.division.folds import take_fold
from nas.data.division.units import Indices, Units, images_alone, make_units
from nas.data.errors import LeakError, SplitError
from nas.permutations import seeded_permutation
from nas.seeds import derive_seed

_TEST = 10
"""One image in ten becomes test, if the publisher made no test part."""
_VALIDATION = 10
"""One image in ten of the publisher's training part becomes validation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """The parts of a data set, as indices into its images: int64, ascending, none twice.

    Attributes:
        fingerprint: SHA-256 over the data set's fingerprint and the three parts.
    """

    train: Indices
    validation: Indices
    test: Indices
    fingerprint: str


def split(dataset: CachedDataset, *, seed: int, train_limit: int = 0, folds: int = 0, fold: int = 0) -> Split:
    """Divide a data set so that every part has every class, and no group lies in two parts.

    Args:
        dataset: what ``prepare`` or ``find_by_fingerprint`` returned.
        seed: seed of the search.
        train_limit: most images of train and validation together; 0 means no limit.
        folds: number of folds of a cross-validation; 0 means none.
        fold: number of the fold that is the test part, from 1.

    Raises:
        SplitError: a class has too few images, or the train limit is too low.
        LeakError: a group has images in two of the publisher's parts.
    """
    validation, test = _published_parts(dataset)
    has_validation, has_test = dataset.validation_start is not None, dataset.test_start is not None
    units = make_units(dataset, len(dataset.labels_N) - len(validation) - len(test))
    pool = seeded_permutation(derive_seed(seed, "split"), len(units.labels_U))
    has_parts, one_in = has_validation or has_test, 90 // dataset.validation_percent
    if folds:
        taken, pool = take_fold(units, pool, folds=folds, fold=fold)
        train, validation = _divide_pool(units, pool, one_in, train_limit)
        return _seal(dataset, train=train, validation=validation, test=units.expand(taken))
    needed = 1 + (not has_validation) + (not has_test)
    _require_each_class(units, pool, needed, "the training part" if has_parts else "the data set")
    if has_validation:
        _require_each_class(images_alone(dataset), validation, 1, "the validation part")
    if has_test:
        _require_each_class(images_alone(dataset), test, 1, "the test part")
    else:
        seats = _seats(units, len(pool), _TEST, "test")
        taken, pool = units.take(pool, seats, least=1, keep=needed - 1)
        test = units.expand(taken)
    if has_validation:
        train, validation = _cut_both(units, pool, validation, train_limit, derive_seed(seed, "validation"))
    else:
        train, validation = _divide_pool(units, pool, _VALIDATION if has_parts else one_in, train_limit)
    return _seal(dataset, train=train, validation=validation, test=test)


def _published_parts(dataset: CachedDataset) -> tuple[Indices, Indices]:
    """Return the publisher's validation and test parts; a part that does not exist is empty."""
    end = len(dataset.labels_N)
    test_start = end if dataset.test_start is None else dataset.test_start
    validation_start = test_start if dataset.validation_start is None else dataset.validation_start
    return np.arange(validation_start, test_start), np.arange(test_start, end)


def _divide_pool(units: Units, pool: Indices, one_in: int, train_limit: int) -> tuple[Indices, Indices]:
    """Reduce the pool to the train limit and divide it into train and validation, one unit in ``one_in``."""
    size = _units_within(units, pool, train_limit)
    seats = _seats(units, size, one_in, "validation")
    if size < len(pool):
        pool, _ = units.take(pool, size, least=2, keep=0)
    validation, train = units.take(pool, seats, least=1, keep=1)
    return units.expand(train), units.expand(validation)


def _cut_both(units: Units, pool: Indices, validation: Indices, train_limit: int, seed: int) -> tuple[Indices, Indices]:
    """Reduce the pool and the publisher's validation part to the train limit, both in the same proportion."""
    train = units.expand(pool)
    total, classes = len(train) + len(validation), len(units.dataset.class_names)
    if not train_limit or train_limit >= total:
        return train, validation
    seats = (2 * train_limit * len(validation) + total) // (2 * total)
    size = _units_within(units, pool, train_limit - seats)
    if min(seats, size) < classes:
        reason = f"the train limit leaves {seats} images for validation and {size} {units.noun} for train"
        raise SplitError(units.dataset.name, f"{reason}, and there are {classes} classes, so raise it")
    pool, _ = units.take(pool, size, least=1, keep=0)
    order = validation[seeded_permutation(seed, len(validation))]
    validation, _ = images_alone(units.dataset).take(order, seats, least=1, keep=0)
    return units.expand(pool), validation


def find_leaks(dataset: CachedDataset, parts: Split) -> tuple[int, ...]:
    """Return the groups that have images in more than one part; a valid division has none."""
    if dataset.groups_N is None:
        return ()
    groups = [np.unique(dataset.groups_N[part]) for part in (parts.train, parts.validation, parts.test)]
    found, times = np.unique(np.concatenate(groups), return_counts=True)
    return tuple(found[times > 1].tolist())


def describe(dataset: CachedDataset, parts: Split) -> dict[str, object]:
    """Return a summary of a data set and its division as plain JSON values."""
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


def _units_within(units: Units, pool: Indices, limit: int) -> int:
    """Return how many units of the pool have together at most ``limit`` images; a limit of 0 means all."""
    images = len(units.expand(pool))
    if not limit or limit >= images:
        return len(pool)
    size = len(pool) * limit // images
    lowest = 2 * len(units.dataset.class_names)
    while size > lowest and len(units.expand(units.take(pool, size, least=1, keep=0)[0])) > limit:
        size -= 1
    return size


def _seats(units: Units, count: int, one_in: int, part: str) -> int:
    """Return the size of a part, one in ``one_in`` of ``count`` units, halves rounded up.

    Raises:
        SplitError: the part would have fewer units than there are classes.
    """
    classes = len(units.dataset.class_names)
    seats = (2 * count + one_in) // (2 * one_in)
    if seats < classes:
        lowest = (2 * classes - 1) * one_in // 2 + (2 * classes - 1) * one_in % 2
        there = f"{part} would get {seats} of {count} {units.noun}, and there are {classes} classes"
        reason = f"{there}; it takes {lowest} {units.noun}, so raise the train limit or use a larger data set"
        raise SplitError(units.dataset.name, reason)
    return seats


def _require_each_class(units: Units, chosen: Indices, least: int, where: str) -> None:
    counts = np.bincount(units.labels_U[chosen], minlength=len(units.dataset.class_names))
    scarce = int(counts.argmin())
    if counts[scarce] < least:
        need = (
            f"{counts[scarce]} of the {least} {units.noun} that it needs in {where}, one for each part taken from there"
        )
        reason = f"class {units.dataset.class_names[scarce]!r} has only {need}"
        raise SplitError(units.dataset.name, reason)


def _seal(dataset: CachedDataset, **parts: Indices) -> Split:
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
