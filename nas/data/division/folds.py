# SPDX-License-Identifier: Apache-2.0
"""Folds of cross-validation: disjoint test parts that together make up the data set.

The units are listed class by class, each class in seeded order, and dealt to the folds in turn. So the folds' numbers
of units differ by at most one, in each class and in total.
"""

from __future__ import annotations

import numpy as np

from nas.config import FEWEST_FOLDS
from nas.data.division.units import Indices, Units
from nas.data.errors import SplitError


def take_fold(units: Units, order: Indices, *, folds: int, fold: int) -> tuple[Indices, Indices]:
    """Take the units of one fold.

    Args:
        units: the units that are divided.
        order: all units, in seeded order.
        folds: number of folds.
        fold: number of the fold that is taken, from 1.

    Returns:
        The units of the fold and the others, both sorted by class and then as in ``order``.

    Raises:
        SplitError: the publisher has made parts, or a class has fewer units than there are folds.
    """
    dataset, by_class = units.dataset, units.by_class(order)
    for start, part in ((dataset.test_start, "test"), (dataset.validation_start, "validation")):
        if start is not None:
            reason = f"it has a {part} part of its own, and folds are for sets without parts; leave out --folds"
            raise SplitError(dataset.name, reason)
    counts = [len(members) for members in by_class]
    scarce = int(np.argmin(counts))
    if counts[scarce] < folds:
        there = (
            f"class {dataset.class_names[scarce]!r} has only {counts[scarce]} of the {folds} {units.noun} that it needs"
        )
        most = f"; at most {counts[scarce]} folds are possible"
        if counts[scarce] < FEWEST_FOLDS:
            most = f", and {FEWEST_FOLDS} folds are the fewest that can be"
        raise SplitError(dataset.name, f"{there}, one for each fold{most}")
    dealt = np.concatenate(by_class)
    is_taken = np.arange(len(dealt)) % folds == fold - 1
    return dealt[is_taken], dealt[~is_taken]
