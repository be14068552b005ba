# SPDX-License-Identifier: Apache-2.0
"""Whether the label of an image can be guessed from what a net should not learn, such as its size.

The guess for an image is the commonest class among the images of its kind, each class weighing the same, without those
of its own patient. It counts as a shortcut where its balanced accuracy is higher than after any of 199 random
permutations of the labels over the patients, and by a margin that matters.

Shapes: N images, F values of the feature, C classes, P pairs of patient and value.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

_PERMUTATIONS = 199
"""With none of them as good, chance has p <= 0.005."""
_MARGIN = 0.1
"""Balanced accuracy above chance that is worth a sentence."""

_Integers = npt.NDArray[np.int64]


def guess_labels(
    feature: Sequence[Hashable], labels: Sequence[int], groups: Sequence[Hashable], classes: int
) -> tuple[float, float] | None:
    """Guess each label from one feature of the image.

    Args:
        feature: of each image.
        labels: of each image, from 0.
        groups: of each image, such as its patient.
        classes: how many there are.

    Returns:
        Balanced accuracy of the guess and of chance; None if the feature is no shortcut.
    """
    if len(set(labels)) < 2 or len(set(feature)) < 2:
        return None
    feature_N, labels_N, groups_N = _number(feature), np.array(labels, np.int64), _number(groups)
    chance = 1 / len(set(labels))
    score = _balanced_accuracy(feature_N, labels_N, groups_N, classes)
    if score < chance + _MARGIN:
        return None
    random = np.random.default_rng(0)
    _, first_of_group = np.unique(groups_N, return_index=True)
    of_group = labels_N[first_of_group]
    best = max(
        _balanced_accuracy(feature_N, random.permutation(of_group)[groups_N], groups_N, classes)
        for _ in range(_PERMUTATIONS)
    )
    return (score, chance) if score > best else None


def _number(values: Sequence[Hashable]) -> _Integers:
    """Number distinct values from 0, in the order in which they come."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], np.int64)


def _balanced_accuracy(feature_N: _Integers, labels_N: _Integers, groups_N: _Integers, classes: int) -> float:
    """Mean over the classes of the share guessed right, each image being guessed from those of other groups."""
    features = int(feature_N.max()) + 1
    counts_FC = np.zeros((features, classes), np.int64)
    np.add.at(counts_FC, (feature_N, labels_N), 1)
    _, pair_N = np.unique(groups_N * features + feature_N, return_inverse=True)
    own_PC = np.zeros((int(pair_N.max()) + 1, classes), np.int64)
    np.add.at(own_PC, (pair_N, labels_N), 1)
    others_NC = counts_FC[feature_N] - own_PC[pair_N]
    prior_C = np.bincount(labels_N, minlength=classes)
    guess_N = (others_NC / np.maximum(prior_C, 1)).argmax(axis=1)
    is_right = (guess_N == labels_N) & (others_NC.sum(axis=1) > 0)
    right_C = np.bincount(labels_N[is_right], minlength=classes)
    is_there = prior_C > 0
    return float((right_C[is_there] / prior_C[is_there]).mean())
