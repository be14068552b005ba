# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours on small parts: what they answer, how k is chosen, and what is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from nas.assessment import Neighbours
from nas.evaluation import neighbours
from nas.evaluation.neighbours import Part, assess_neighbours


def _part(values: Sequence[int], labels: Sequence[int]) -> Part:
    """Images of one pixel."""
    return Part(images=np.array(values, np.uint8).reshape(-1, 1, 1, 1), labels=np.array(labels, np.int64))


def _assess(train: Part, validation: Part, test: Part) -> Neighbours:
    return assess_neighbours(train, validation, test, groups_N=None, seed=1, on_step=lambda: None)


NOISY = _part([10, 12, 14, 16, 18, 20, 200, 210, 220, 230, 240], [0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1])
"""A dark class and a light one; the image of value 16 has the wrong label."""


@pytest.mark.parametrize(
    ("validation", "k", "right"),
    [
        (_part([16, 15, 230], [0, 0, 1]), 5, 4 / 4),  # the five nearest outvote the wrong label
        (_part([16, 12, 230], [1, 0, 1]), 1, 3 / 4),
        (_part([12, 230], [0, 1]), 1, 3 / 4),  # a tie
    ],
)
def test_the_validation_part_chooses_k(validation: Part, k: int, right: float) -> None:
    """Not the test part, which here would choose 5."""
    found = _assess(NOISY, validation, _part([16, 11, 19, 205], [0, 0, 0, 1]))

    assert (k, right, 11) == (found.k, found.accuracy.value, found.train_images)


def test_figures_have_intervals_and_count_classes() -> None:
    """One image of four is wrong, half of its class."""
    found = _assess(NOISY, _part([12, 230], [0, 1]), _part([11, 13, 19, 205, 12], [0, 0, 0, 1, 1]))

    assert (4 / 5, (1 + 1 / 2) / 2) == (found.accuracy.value, found.balanced_accuracy.value)
    assert found.accuracy.low is not None
    assert found.accuracy.low < 4 / 5 < (found.accuracy.high or 0)


def test_fewer_images_than_neighbours() -> None:
    """Then the one nearest answers."""
    found = _assess(_part([0, 255], [0, 1]), _part([10], [0]), _part([20, 240], [0, 1]))

    assert (1, 2, 1.0) == (found.k, found.train_images, found.accuracy.value)


def test_of_many_training_images_some_are_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spread, so that images that are sorted by class keep every class."""
    monkeypatch.setattr(neighbours, "MAX_NEIGHBOUR_IMAGES", 4)
    train = _part([10] * 50 + [240] * 50, [0] * 50 + [1] * 50)

    found = _assess(train, _part([10, 240], [0, 1]), _part([12, 238], [0, 1]))

    assert (4, 1.0) == (found.train_images, found.accuracy.value)


@pytest.mark.parametrize("at_once", [100, 10_000])
def test_it_is_what_scikit_learn_gives(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """On the digits, however many are asked at once; a sign of progress comes with each batch."""
    monkeypatch.setattr(neighbours, "_IMAGES_AT_ONCE", at_once)
    pixels, labels = load_digits(return_X_y=True)
    images, labels = (pixels * 15).astype(np.uint8).reshape(-1, 1, 8, 8), labels.astype(np.int64)
    train, validation, test = (
        Part(images=images[rows], labels=labels[rows]) for rows in (slice(1200), slice(1200, 1400), slice(1400, None))
    )
    steps: list[None] = []

    found = assess_neighbours(train, validation, test, groups_N=None, seed=1, on_step=lambda: steps.append(None))

    scores = {
        k: KNeighborsClassifier(k, algorithm="brute").fit(train.images.reshape(1200, -1) / 255, train.labels)
        for k in (1, 5)
    }
    best = max(scores, key=lambda k: scores[k].score(validation.images.reshape(200, -1) / 255, validation.labels))
    assert best == found.k
    assert scores[best].score(test.images.reshape(len(test.labels), -1) / 255, test.labels) == found.accuracy.value
    assert (2 + 4 if at_once == 100 else 2) == len(steps)
