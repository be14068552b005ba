# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours on the parts of a search: the baseline that many know, and that no net is needed for.

Shapes: N images, D values of an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from nas.assessment import MAX_NEIGHBOUR_IMAGES, Neighbours
from nas.evaluation.intervals import Ints, draw_resamples, estimate_balanced, estimate_share

_CHOICES = (1, 5)
"""What k may be."""
_IMAGES_AT_ONCE = 500
"""Bounds the time between two signs of progress."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Images of one part of a data set.

    Attributes:
        images: uint8, (N, C, H, W).
        labels: int64, (N,).
    """

    images: npt.NDArray[np.uint8]
    labels: Ints


def assess_neighbours(
    train: Part, validation: Part, test: Part, *, groups_N: Ints | None, seed: int, on_step: Callable[[], None]
) -> Neighbours:
    """Assess nearest neighbours among training images by their answers about the test part.

    Args:
        train: compared with; of more than ``MAX_NEIGHBOUR_IMAGES`` images as many, evenly spread.
        validation: chooses k; on a tie the smaller one.
        test: answered.
        groups_N: equal numbers for test images of one patient; None if patients are not known.
        seed: seed of the resamples.
        on_step: called repeatedly, as a sign of progress.
    """
    rows = np.linspace(0, len(train.labels) - 1, min(len(train.labels), MAX_NEIGHBOUR_IMAGES)).round().astype(np.int64)
    known = Part(images=train.images[rows], labels=train.labels[rows])
    choices = [k for k in _CHOICES if k <= len(rows)]
    # Values from 0 to 255 are whole, so that distances are exact and no rounding decides between two neighbours.
    index = NearestNeighbors(n_neighbors=choices[-1], algorithm="brute").fit(_flat(known.images))
    right = {
        k: int((answers_N == validation.labels).sum())
        for k, answers_N in _answer(index, known.labels, validation.images, choices, on_step).items()
    }
    best = max(choices, key=lambda k: right[k])
    answers_N = _answer(index, known.labels, test.images, [best], on_step)[best]
    resamples = draw_resamples(test.labels, groups_N, seed=seed)
    accuracy = estimate_share(answers_N == test.labels, np.ones(len(test.labels), np.bool_), resamples)
    assert accuracy is not None  # noqa: S101 - a part is not empty
    return Neighbours(
        k=best,
        train_images=len(rows),
        accuracy=accuracy,
        balanced_accuracy=estimate_balanced(test.labels, answers_N, resamples),
    )


def _answer(
    index: NearestNeighbors,
    labels_N: Ints,
    images_NCHW: npt.NDArray[np.uint8],
    choices: list[int],
    on_step: Callable[[], None],
) -> dict[int, Ints]:
    """Return for each k the commonest class among the k nearest; on a tie the first of the classes."""
    found: dict[int, list[Ints]] = {k: [] for k in choices}
    for first in range(0, len(images_NCHW), _IMAGES_AT_ONCE):
        nearest_NK = index.kneighbors(
            _flat(images_NCHW[first : first + _IMAGES_AT_ONCE]), choices[-1], return_distance=False
        )
        for k in choices:
            votes = labels_N[nearest_NK[:, :k]]
            found[k].append(np.array([np.bincount(row).argmax() for row in votes], np.int64))
        on_step()
    return {k: np.concatenate(answers) for k, answers in found.items()}


def _flat(images_NCHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return images_NCHW.reshape(len(images_NCHW), -1).astype(np.float32)
