# SPDX-License-Identifier: Apache-2.0
"""Figures that scikit-learn does not have, or does not compute for a thousand resamples at once.

Shapes: N images, K classes, R resamples.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from nas.evaluation.intervals import Floats, Ints, Mask, Resamples

CALIBRATION_BINS = 15
"""Guo et al. 2017, section 2."""
_RESAMPLES_AT_ONCE = 100
"""Bounds the memory: so many numbers per image."""


def calibration_error(probabilities_NK: Floats, labels_N: Ints) -> float:
    """Expected calibration error (Guo et al. 2017): probability against accuracy, averaged over bins."""
    confidence_N = probabilities_NK.max(axis=1)
    hits_N = probabilities_NK.argmax(axis=1) == labels_N
    bins_N = np.minimum((confidence_N * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins_N, weights=hits_N - confidence_N, minlength=CALIBRATION_BINS)
    return float(min(1.0, np.abs(gaps).sum() / len(labels_N)))


def resampled_macro_f1(labels_N: Ints, answers_N: Ints, resamples: Resamples) -> Floats:
    """Macro F1 of each resample (R,), over the classes that occur among labels or answers."""
    scores = []
    for label in np.union1d(labels_N, answers_N):
        is_label_N, is_answer_N = labels_N == label, answers_N == label
        right_R = resamples.total(is_label_N & is_answer_N)
        named_R = resamples.total(is_label_N) + resamples.total(is_answer_N)
        scores.append(np.divide(2 * right_R, named_R, out=np.zeros_like(right_R), where=named_R > 0))
    return np.asarray(np.mean(scores, axis=0), np.float64)


def resampled_auc(scores_N: Floats, positive_N: Mask, resamples: Resamples) -> Floats:
    """Area under the ROC curve of each resample (R,): the share of pairs in the right order, where ties count half."""
    order = np.argsort(scores_N, kind="stable")
    _, starts = np.unique(scores_N[order], return_index=True)
    positive = positive_N[order]
    areas = np.empty(len(resamples.weights_RG))
    for first in range(0, len(areas), _RESAMPLES_AT_ONCE):
        rows = slice(first, first + _RESAMPLES_AT_ONCE)
        weights = resamples.weights_RG[rows][:, resamples.groups_N[order]]
        above = np.add.reduceat(weights * positive, starts, axis=1)
        below = np.add.reduceat(weights * ~positive, starts, axis=1)
        under = np.cumsum(below, axis=1) - below / 2
        pairs = above.sum(axis=1) * below.sum(axis=1)
        with np.errstate(invalid="ignore"):
            areas[rows] = (above * under).sum(axis=1) / pairs
    return areas


def mcnemar(only_one: int, only_other: int) -> float:
    """Exact two-sided p-value of McNemar's test for independent images; 1 where both are right about the same ones.

    Args:
        only_one: images that only one of two nets gets right.
        only_other: images that only the other gets right.
    """
    trials = only_one + only_other
    return float(stats.binomtest(only_one, trials).pvalue) if trials else 1.0


def mcnemar_grouped(one_N: Mask, other_N: Mask, groups_N: Ints) -> float:
    """P-value of McNemar's test for images in groups, by a normal approximation (Durkalski et al. 2003)."""
    sizes_G = np.bincount(groups_N)
    difference_G = np.bincount(groups_N, weights=one_N.astype(np.float64) - other_N) / sizes_G
    squares = float((difference_G**2).sum())
    return math.erfc(abs(float(difference_G.sum())) / math.sqrt(2 * squares)) if squares else 1.0
