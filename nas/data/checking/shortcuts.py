# SPDX-License-Identifier: Apache-2.0
"""Finds shortcuts: features that predict the label though a net should not learn them, such as the image size.

The label of an image is predicted as the most frequent class among the images with the same value of the feature. Each
class has the same weight, and images of the same patient do not count. The feature is a shortcut if the balanced
accuracy of this prediction exceeds chance by ``_MARGIN``, and exceeds the balanced accuracy after each of 199 random
permutations of the labels over the patients.

Shapes: N images, F values of the feature, C classes, P pairs of patient and value.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

_PERMUTATIONS = 199
"""If none of them is as good, the p-value is at most 0.005."""
_MARGIN = 0.1
"""Smallest balanced accuracy above chance that is reported."""

_Integers = npt.NDArray[np.int64]


def guess_labels(
    feature: Sequence[Hashable], labels: Sequence[int], groups: Sequence[Hashable], classes: int
) -> tuple[float, float] | None:
    """Predict each label from one feature of the image.

    Args:
        feature: value of the feature, per image.
        labels: label from 0, per image.
        groups: group such as the patient, per image.
        classes: number of classes.

    Returns:
        Balanced accuracy of the prediction and of chance; None if the feature is no shortcut.
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
    """Replace each value by the number of its distinct value, from 0 in the order of first appearance."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], np.int64)


def _balanced_accuracy(feature_N: _Integers, labels_N: _Integers, groups_N: _Integers, classes: int) -> float:
    """Return the mean recall over the classes; each image is predicted from the images of other groups."""
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
