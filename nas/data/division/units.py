# SPDX-License-Identifier: Apache-2.0
"""The units of a division: images, or groups of images that must stay in one part, such as those of one patient.

A group whose images have several classes counts as one of the rarest of them.

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
    """The units that are divided.

    Attributes:
        dataset: the data set of the units.
        labels_U: class of each unit.
        images: indices of the images of each unit; None if unit i is image i.
        noun: what a message calls the units.
    """

    dataset: CachedDataset
    labels_U: Indices
    images: tuple[Indices, ...] | None
    noun: str

    def expand(self, units: Indices) -> Indices:
        """Return the indices of the images of the units."""
        return units if self.images is None else np.concatenate([self.images[unit] for unit in units])

    def by_class(self, order: Indices) -> list[Indices]:
        """Return the units of each class, in the given order."""
        return [order[self.labels_U[order] == label] for label in range(len(self.dataset.class_names))]

    def take(self, order: Indices, seats: int, *, least: int, keep: int) -> tuple[Indices, Indices]:
        """Take the first units of each class, in the given order.

        Args:
            order: the units.
            seats: how many are taken.
            least: fewest units that are taken from a class.
            keep: fewest units that are left in a class.

        Returns:
            The units taken and the others, both sorted by class and then as in ``order``.
        """
        by_class = self.by_class(order)
        given = apportion(tuple(map(len, by_class)), seats, least=least, keep=keep)
        taken = [indices[:n] for indices, n in zip(by_class, given, strict=True)]
        rest = [indices[n:] for indices, n in zip(by_class, given, strict=True)]
        return np.concatenate(taken), np.concatenate(rest)


def images_alone(dataset: CachedDataset) -> Units:
    """Return every image as a unit, whatever its group."""
    return Units(dataset=dataset, labels_U=dataset.labels_N, images=None, noun="images")


def make_units(dataset: CachedDataset, count: int) -> Units:
    """Return the units of the first ``count`` images: their groups, or the images if there are no groups."""
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
    """Distribute ``seats`` over the classes in proportion to their units, by largest remainder within bounds.

    Args:
        counts: units of each class; at least ``least + keep`` each.
        seats: at least ``least`` per class, at most all units but ``keep`` per class.
        least: fewest units that are taken from a class.
        keep: fewest units that are left in a class.

    Returns:
        How many units are taken from each class.
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
