# SPDX-License-Identifier: Apache-2.0
"""How often a 95 % interval of macro F1 or AUC holds the truth, by how many patients the rarer classes have.

    python benchmarks/coverage.py

Draws test parts of three classes with four images a patient: each of the three scores of an image is normal with
standard deviation 1 around that of its patient, which is normal with standard deviation 1 around 0, or around
``distance`` for the right class. The truth is what 200 times as many patients give. Takes about half a minute.
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics

from nas.evaluation.intervals import Floats, Ints, draw_resamples, percentile_estimate
from nas.evaluation.measures import resampled_auc, resampled_macro_f1

IMAGES_A_PATIENT = 4
CLASSES = 3
CASES = (((10, 3, 3), 200, 400), ((18, 5, 5), 200, 400), ((40, 10, 10), 100, 300), ((80, 20, 20), 100, 300))
"""Patients of each class, parts, resamples of each."""
DISTANCES = (2.0, 3.0, 4.0)


def draw_part(random: np.random.Generator, patients: tuple[int, ...], distance: float) -> tuple[Ints, Floats, Ints]:
    """Labels, probabilities (N, K) and groups of one part."""
    labels_G = np.repeat(np.arange(len(patients)), patients)
    of_patient_GK = random.normal(0, 1, (len(labels_G), CLASSES))
    scores = of_patient_GK[:, None, :] + random.normal(0, 1, (len(labels_G), IMAGES_A_PATIENT, CLASSES))
    scores[np.arange(len(labels_G)), :, labels_G] += distance
    raised_NK = np.exp(scores.reshape(-1, CLASSES) - scores.max())
    groups_N = np.repeat(np.arange(len(labels_G)), IMAGES_A_PATIENT)
    return labels_G[groups_N], raised_NK / raised_NK.sum(axis=1, keepdims=True), groups_N


def measure(labels_N: Ints, shares_NK: Floats) -> tuple[float, float]:
    """Macro F1 and mean AUC."""
    f1 = metrics.f1_score(labels_N, shares_NK.argmax(axis=1), average="macro", zero_division=0)
    return float(f1), float(np.mean([metrics.roc_auc_score(labels_N == k, shares_NK[:, k]) for k in range(CLASSES)]))


def cover(patients: tuple[int, ...], distance: float, parts: int, resamples: int) -> tuple[tuple[float, float], Ints]:
    """The truth, and how many of the intervals hold it: macro F1, mean AUC."""
    random = np.random.default_rng(1)
    many = tuple(200 * count for count in patients)
    truth = measure(*draw_part(random, many, distance)[:2])
    covered = np.zeros(2, np.int64)
    for seed in range(parts):
        labels_N, shares_NK, groups_N = draw_part(random, patients, distance)
        drawn = draw_resamples(labels_N, groups_N, seed=seed, resamples=resamples)
        aucs = [resampled_auc(shares_NK[:, k], labels_N == k, drawn) for k in range(CLASSES)]
        both_R = resampled_macro_f1(labels_N, shares_NK.argmax(axis=1), drawn), np.mean(aucs, axis=0)
        for place, (value, of_R) in enumerate(zip(measure(labels_N, shares_NK), both_R, strict=True)):
            found = percentile_estimate(value, of_R, is_enough=True)
            low, high = (value, value) if found.low is None or found.high is None else (found.low, found.high)
            covered[place] += low <= truth[place] <= high
    return truth, covered


def main() -> None:
    """Print a line a case."""
    for patients, parts, resamples in CASES:
        for distance in DISTANCES:
            (f1, auc), covered = cover(patients, distance, parts, resamples)
            held = ", ".join(f"{count / parts:.0%}" for count in covered)
            print(f"{patients} patients, macro F1 {f1:.3f}, mean AUC {auc:.3f}, n = {parts}: held {held}", flush=True)


if __name__ == "__main__":
    main()
