# SPDX-License-Identifier: Apache-2.0
"""What a division deals out: images, or groups of them that belong together, such as those of one patient.

A group counts for the rarest of its classes.

Shapes: N images of the whole set, U units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.data.cache import CachedDataset

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What is divided.

    Attributes:
        dataset: that it is of.
        labels_U: class that a unit counts for.
        images: of each unit; None if the units are the images from 0 on.
        noun: for messages.
    """

    dataset: CachedDataset
    labels_U: Indices
    images: tuple[Indices, ...] | None
    noun: str

    def expand(self, units: Indices) -> Indices:
        """Images of the units."""
        return units if self.images is None else np.concatenate([self.images[unit] for unit in units])

    def by_class(self, order: Indices) -> list[Indices]:
        """The units of each class, in the given order."""
        return [order[self.labels_U[order] == label] for label in range(len(self.dataset.class_names))]

    def take(self, order: Indices, seats: int, *, least: int, keep: int) -> tuple[Indices, Indices]:
        """Take the first units of each class in the given order; return them and the rest, still in order by class."""
        by_class = self.by_class(order)
        given = apportion(tuple(map(len, by_class)), seats, least=least, keep=keep)
        taken = [indices[:n] for indices, n in zip(by_class, given, strict=True)]
        rest = [indices[n:] for indices, n in zip(by_class, given, strict=True)]
        return np.concatenate(taken), np.concatenate(rest)


def images_alone(dataset: CachedDataset) -> Units:
    """Every image for itself, whatever it belongs to."""
    return Units(dataset=dataset, labels_U=dataset.labels_N, images=None, noun="images")


def make_units(dataset: CachedDataset, count: int) -> Units:
    """Say what of the first ``count`` images is divided: groups where there are any."""
    labels_N = dataset.labels_N[:count]
    if dataset.groups_N is None:
        return Units(dataset=dataset, labels_U=labels_N, images=None, noun="images")
    groups, unit_of_N = np.unique(dataset.groups_N[:count], return_inverse=True)
    classes = len(dataset.class_names)
    counts_UC = np.zeros((len(groups), classes), np.int64)
    np.add.at(counts_UC, (unit_of_N, labels_N), 1)
    rarest_first = np.argsort(np.bincount(labels_N, minlength=classes), kind="stable")
    labels_U = rarest_first[(counts_UC[:, rarest_first] > 0).argmax(axis=1)]
    by_unit = np.split(np.argsort(unit_of_N, kind="stable"), np.cumsum(np.bincount(unit_of_N))[:-1])
    return Units(dataset=dataset, labels_U=labels_U, images=tuple(by_unit), noun="patients")


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
