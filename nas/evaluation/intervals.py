# SPDX-License-Identifier: Apache-2.0
"""95 % confidence intervals for figures of a small test part.

Images of one patient resemble each other, so patients are drawn with replacement, not images. They are drawn within the
class that they count for, so that every resample has every class.

A share has Wilson's interval for the number of independent trials that its images are worth, which is estimated from
how much the resamples differ. The percentiles of the resamples themselves are too narrow near 0 and 1 (measured: they
cover 86 % instead of 95 % for a share of 0.9 of 40 patients). Where patients are few, or all right or all wrong, the
number of trials is the number of patients.

Other figures take the percentiles of the resamples, and have no interval where patients are few.

Shapes: N images, G groups of images, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.assessment import Estimate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

RESAMPLES = 1000
_Z = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
_ENDS = (2.5, 97.5)
"""Percentiles of an interval."""
_FEWEST_PATIENTS = 10
"""With fewer the bootstrap's intervals are too narrow (docs/data.md has the measured coverage)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resamples:
    """How often each group of images is in each resample.

    Attributes:
        groups_N: group of each image, counted from 0 without a gap.
        weights_RG: how often each group was drawn.
        is_grouped: whether patients are known; if not, every image is a group of its own.
    """

    groups_N: Ints
    weights_RG: Floats
    is_grouped: bool

    def total(self, values_N: npt.NDArray[np.generic]) -> Floats:
        """Sum up one number per image in each resample (R,)."""
        sums_G = np.bincount(self.groups_N, weights=values_N.astype(np.float64), minlength=self.weights_RG.shape[1])
        return np.asarray(self.weights_RG @ sums_G, np.float64)

    def are_enough(self, images_N: Mask) -> bool:
        """Whether these images have enough patients for their resamples to give an interval."""
        return len(np.unique(self.groups_N[images_N])) >= _FEWEST_PATIENTS


def draw_resamples(labels_N: Ints, groups_N: Ints | None, *, seed: int, resamples: int = RESAMPLES) -> Resamples:
    """Draw groups with replacement, as many of each class as there are.

    Args:
        labels_N: classes, counted from 0.
        groups_N: equal numbers for images that belong together; None if none do.
        seed: equal seeds give equal resamples.
        resamples: R.
    """
    random = np.random.Generator(np.random.Philox(key=seed))
    if groups_N is None:
        dense_N, strata_G = np.arange(len(labels_N)), labels_N
    else:
        _, dense_N = np.unique(groups_N, return_inverse=True)
        strata_G = _find_strata(labels_N, dense_N)
    weights_RG = np.zeros((resamples, len(strata_G)))
    for stratum in np.unique(strata_G):
        members = np.flatnonzero(strata_G == stratum)
        weights_RG[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return Resamples(groups_N=dense_N, weights_RG=weights_RG, is_grouped=groups_N is not None)


def estimate_share(hits_N: Mask, among_N: Mask, resamples: Resamples) -> Estimate | None:
    """Estimate the share of hits among some of the images; None if there are none."""
    images = int(among_N.sum())
    if not images:
        return None
    hits_N = hits_N & among_N
    value = float(hits_N.sum() / images)
    low, high = wilson(value, _count_trials(value, hits_N, among_N, resamples))
    return Estimate(value=value, low=low, high=high)


def estimate_balanced(labels_N: Ints, answers_N: Ints, resamples: Resamples) -> Estimate:
    """Estimate the mean over the classes that occur of the share of their images that are answered rightly."""
    shares = [estimate_share(answers_N == k, labels_N == k, resamples) for k in np.unique(labels_N)]
    return average([share for share in shares if share is not None])


def _count_trials(value: float, hits_N: Mask, among_N: Mask, resamples: Resamples) -> float:
    """Estimate how many independent trials some images are worth: at least their patients, at most all of them."""
    images, patients = int(among_N.sum()), len(np.unique(resamples.groups_N[among_N]))
    if not resamples.is_grouped or not resamples.are_enough(among_N) or value in (0.0, 1.0):
        return patients
    base_R = resamples.total(among_N)
    drawn_R = resamples.total(hits_N)[base_R > 0] / base_R[base_R > 0]
    spread = float(np.var(drawn_R))
    return min(float(images), max(float(patients), value * (1 - value) / spread)) if spread else images


def percentile_estimate(value: float, drawn_R: Floats, *, is_enough: bool) -> Estimate:
    """Take the interval from the middle 95 % of the resamples.

    Args:
        value: the figure of the images as they are.
        drawn_R: the figure of each resample.
        is_enough: whether every class that matters has enough patients. If not, or where all resamples are equal, there
            is no interval.
    """
    finite_R = drawn_R[np.isfinite(drawn_R)]
    if not is_enough or not finite_R.size or np.ptp(finite_R) == 0:
        return Estimate(value=value)
    low, high = np.percentile(finite_R, _ENDS)
    return Estimate(value=value, low=_clip(min(low, value)), high=_clip(max(high, value)))


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of ``trials`` independent trials."""
    spread = _Z * _Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return _clip(min(centre - half, share)), _clip(max(centre + half, share))


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Average independent estimates, their intervals by the square-and-add method (Zou and Donner 2008)."""
    value = sum(estimate.value for estimate in estimates) / len(estimates)
    below = [estimate.value - estimate.low for estimate in estimates if estimate.low is not None]
    above = [estimate.high - estimate.value for estimate in estimates if estimate.high is not None]
    if len(below) < len(estimates) or len(above) < len(estimates):
        return Estimate(value=_clip(value))
    low, high = (math.hypot(*distances) / len(estimates) for distances in (below, above))
    return Estimate(value=_clip(value), low=_clip(value - low), high=_clip(value + high))


def _find_strata(labels_N: Ints, dense_N: Ints) -> Ints:
    """Return the class that each group counts for, as its rank by size: the rarest class of its images."""
    counts_K = np.bincount(labels_N)
    rarity_K = np.empty_like(counts_K)
    rarity_K[np.argsort(counts_K, kind="stable")] = np.arange(len(counts_K))
    strata_G = np.full(dense_N.max() + 1, len(counts_K))
    np.minimum.at(strata_G, dense_N, rarity_K[labels_N])
    return strata_G


def _clip(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
