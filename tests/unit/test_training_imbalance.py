# SPDX-License-Identifier: Apache-2.0
"""Class weights, balanced sampling and focal loss, each against figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import LINEAR_NET, Stopper, make_data, make_request, run_fit, without_times
from torch.nn import functional

from nas.child import ChildId
from nas.config import Imbalance
from nas.training import Interrupted, Trained, TrainingData
from nas.training.imbalance import compute_class_weights, draw_epoch, make_loss
from nas.training.seeding import draw_order

CPU = torch.device("cpu")
CHILD = ChildId(1, 2)
RARE_N = np.repeat(np.array([0, 1, 2], dtype=np.int64), (16, 3, 1))
"""Twenty images, of which 16, 3 and 1 are of one class."""
LOGITS_BK = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 3.0, 0.5]])
LABELS_B = torch.tensor([0, 2, 1])
ENTROPY_B = (math.log(1 + math.exp(-1) + math.exp(-2)), math.log(3), math.log(1 + math.exp(-4) + math.exp(-2.5)))
REMEDIES = [imbalance for imbalance in Imbalance if imbalance is not Imbalance.NONE]


def _imbalanced() -> TrainingData:
    """A training part in which the last class is rare."""
    data = make_data(train=150)
    kept = (data.train_labels < 2) | (np.arange(150) % 5 == 0)
    return replace(data, train_images=data.train_images[kept][:90], train_labels=data.train_labels[kept][:90])


def test_weights_make_each_class_count_the_same() -> None:
    """N / (K n): 20/(3*16), 20/(3*3) and 20/3, so that all images together weigh N."""
    weights = compute_class_weights(RARE_N, 3)

    assert pytest.approx([20 / 48, 20 / 9, 20 / 3]) == weights.tolist()
    assert pytest.approx([20 / 3] * 3) == (weights * np.bincount(RARE_N)).tolist()


def test_a_class_without_images_has_no_weight() -> None:
    """Nothing is divided by zero, and the others still have the mean weight 1."""
    weights = compute_class_weights(np.array([0, 0, 0, 2], dtype=np.int64), 4)

    assert pytest.approx([4 / 6, 0, 2, 0]) == weights.tolist()


def test_balanced_classes_have_weight_one() -> None:
    """Where nothing is to be mended nothing changes."""
    assert [1.0, 1.0, 1.0] == compute_class_weights(np.repeat(np.arange(3), 7), 3).tolist()


def test_plain_loss_is_the_cross_entropy() -> None:
    """Off, and with balanced sampling, the very function of the paper's training is used."""
    for imbalance in (Imbalance.NONE, Imbalance.SAMPLING):
        assert make_loss(imbalance, RARE_N, 3, CPU) is functional.cross_entropy


def test_weighted_loss_is_the_mean_of_weighted_entropies() -> None:
    """Divided by the number of images, not by the weights in the batch."""
    loss = make_loss(Imbalance.WEIGHTS, RARE_N, 3, CPU)

    expected = (20 / 48 * ENTROPY_B[0] + 20 / 3 * ENTROPY_B[1] + 20 / 9 * ENTROPY_B[2]) / 3
    assert pytest.approx(expected, rel=1e-6) == loss(LOGITS_BK, LABELS_B).item()
    assert pytest.approx(20 / 3 * ENTROPY_B[1], rel=1e-6) == loss(LOGITS_BK[1:2], LABELS_B[1:2]).item()


def test_focal_loss_is_lins() -> None:
    """(1-p)^2 * -log p, p being what the net gives the right class, without class weights."""
    loss = make_loss(Imbalance.FOCAL, RARE_N, 3, CPU)

    expected = sum((1 - math.exp(-entropy)) ** 2 * entropy for entropy in ENTROPY_B) / 3
    assert pytest.approx(expected, rel=1e-6) == loss(LOGITS_BK, LABELS_B).item()
    assert pytest.approx((2 / 3) ** 2 * math.log(3), rel=1e-6) == loss(LOGITS_BK[1:2], LABELS_B[1:2]).item()


def test_focal_loss_has_gradients_where_the_net_is_sure() -> None:
    """At p = 1 the loss is 0 and its slope 0, not a division by zero."""
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.0, 60.0, 0.0]], requires_grad=True)

    loss = make_loss(Imbalance.FOCAL, RARE_N, 3, CPU)(logits, torch.tensor([0, 0]))
    loss.backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert pytest.approx(30.0) == loss.item()
    assert [0.0, 0.0, 0.0] == logits.grad[0].tolist()
    assert pytest.approx([-0.5, 0.5, 0.0]) == logits.grad[1].tolist()


@pytest.mark.parametrize("imbalance", [Imbalance.NONE, Imbalance.WEIGHTS, Imbalance.FOCAL])
def test_without_sampling_the_order_is_that_of_the_paper(imbalance: Imbalance) -> None:
    """Every image once, as always."""
    assert draw_order(7, CHILD, 4, 20).tolist() == draw_epoch(imbalance, 7, CHILD, 4, RARE_N).tolist()


def test_sampling_shows_each_class_equally_often() -> None:
    """Of twenty images 7, 7 and 6; those of the rare classes again and again, to within one equally often."""
    drawn = draw_epoch(Imbalance.SAMPLING, 7, CHILD, 4, RARE_N)

    assert [7, 7, 6] == np.bincount(RARE_N[drawn]).tolist()
    times = np.bincount(drawn, minlength=20)
    assert 7 == np.count_nonzero(times[:16])
    assert [2, 2, 3, 6] == [*sorted(times[16:19].tolist()), times[19]]


def test_sampling_uses_every_image_in_the_long_run() -> None:
    """Over 4,000 epochs each of 16 images is among the 7 that are drawn of its class equally often."""
    times = np.zeros(20)
    for epoch in range(4000):
        times += np.bincount(draw_epoch(Imbalance.SAMPLING, 7, CHILD, epoch, RARE_N), minlength=20)

    expected = 4000 * 7 / 16
    assert np.all(np.abs(times[:16] - expected) < 5 * math.sqrt(expected))


def test_sampling_is_derived_from_child_and_epoch() -> None:
    """Equal paths give equal draws; another epoch, child or search gives another."""
    paths = [(1, CHILD, 1), (1, CHILD, 2), (1, ChildId(1, 1), 1), (2, CHILD, 1)]

    drawn = {tuple(draw_epoch(Imbalance.SAMPLING, *path, RARE_N).tolist()) for path in paths * 2}

    assert 4 == len(drawn)


def test_sampling_mixes_the_classes() -> None:
    """No class stands together: the first seven of an epoch are rarely of one class."""
    first = [RARE_N[draw_epoch(Imbalance.SAMPLING, 7, CHILD, epoch, RARE_N)[:7]] for epoch in range(50)]

    assert all(len(set(labels.tolist())) > 1 for labels in first)


@pytest.mark.parametrize("imbalance", REMEDIES)
@pytest.mark.parametrize("batches", [2, 13])
def test_an_interruption_changes_nothing(tmp_path: Path, imbalance: Imbalance, batches: int) -> None:
    """Stopped within or between epochs, it goes on bit for bit."""
    data = _imbalanced()
    settings: dict[str, Any] = {"imbalance": imbalance, "max_epochs": 2}
    straight, expected = run_fit(make_request(**settings), data)
    first = run_fit(make_request(folder=tmp_path, **settings), data, Stopper(batches))[1]

    epochs, outcome = run_fit(make_request(folder=tmp_path, **settings), data)

    assert isinstance(expected, Trained)
    assert isinstance(first, Interrupted)
    assert (without_times(straight), expected) == (without_times(epochs), outcome)


def test_each_remedy_trains_another_net() -> None:
    """An option that is passed over in silence would leave the weights as they are."""
    outcomes = [run_fit(make_request(imbalance=imbalance, max_epochs=1), _imbalanced())[1] for imbalance in Imbalance]

    assert len(Imbalance) == len({outcome.weights_sha256 for outcome in outcomes if isinstance(outcome, Trained)})


@pytest.mark.parametrize("imbalance", [Imbalance.WEIGHTS, Imbalance.SAMPLING])
def test_a_rare_class_is_found_more_often(imbalance: Imbalance) -> None:
    """With the same few steps the net finds more of the rare class than without a remedy."""
    settings: dict[str, Any] = {"max_epochs": 3, "learning_rate": 0.003}
    found = []
    for each in (Imbalance.NONE, imbalance):
        _, outcome = run_fit(make_request(LINEAR_NET, imbalance=each, **settings), _imbalanced())
        assert isinstance(outcome, Trained)
        found.append(outcome.evaluation.correct[2])

    assert found[0] < found[1]
