# SPDX-License-Identifier: Apache-2.0
"""What issue 12 adds to the paper's recipe: the one-cycle rate, label smoothing, clipped gradients, spared biases."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import Stopper, make_data, make_request, run_fit, without_times
from torch import Tensor, nn
from torch.nn import functional

from nas.config import Imbalance, Precision, TrainingConfig
from nas.recipe import DecayScope, Schedule
from nas.settings import ConfigError
from nas.training import Trained
from nas.training.epoch import Learner
from nas.training.imbalance import make_loss
from nas.training.recipe import make_recipe

ONE_CYCLE: dict[str, Any] = {"schedule": Schedule.ONE_CYCLE, "learning_rate": 0.02}
ALL_OF_IT: dict[str, Any] = ONE_CYCLE | {
    "label_smoothing": 0.05,
    "clip_norm": 0.5,
    "decay_scope": DecayScope.WEIGHTS,
    "augment": "all",
}
LABELS_N = np.array([0, 0, 1, 2], dtype=np.int64)
CPU = torch.device("cpu")


def _rates(total: int, **training: Any) -> list[float]:
    rate = make_recipe(TrainingConfig(**ONE_CYCLE | training)).rate
    return [rate(step, total) for step in range(total)]


def test_one_cycle_rises_and_falls() -> None:
    """A fifth of the steps go up in equal parts; the rest come down along half a cosine, and none is 0."""
    rates = _rates(100)

    assert pytest.approx([0.02 * step / 20 for step in range(1, 21)]) == rates[:20]
    assert pytest.approx([0.01 * (1 + math.cos(math.pi * step / 81)) for step in range(1, 81)]) == rates[20:]
    assert 0 < rates[-1] < 0.0001


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (1, 0.9), (2, 0.2), (3, 0.5), (7, 0.0)])
def test_one_cycle_of_a_short_training(total: int, warmup: float) -> None:
    """However few the steps, each has a rate above 0 and at most the largest."""
    assert all(0 < rate <= 0.02 for rate in _rates(total, warmup=warmup))


def test_a_cycle_is_not_stopped_early() -> None:
    """With a patience of 1 a training goes on to its last epoch, and the epoch of lowest loss is kept."""
    epochs, outcome = run_fit(make_request(max_epochs=6, patience=1, **ONE_CYCLE | {"learning_rate": 0.3}), make_data())

    assert isinstance(outcome, Trained)
    losses = [result.validation.loss for result in epochs]
    assert losses.index(min(losses)) + 1 + 1 < 6  # where patience would have ended it
    assert (6, False) == (outcome.epochs, outcome.stopped_early)
    assert losses.index(min(losses)) + 1 == outcome.best_epoch


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize("batches", [2, 9, 13])
def test_an_interruption_changes_nothing(tmp_path: Path, batches: int, precision: Precision) -> None:
    """Within an epoch and between two: the same losses and the same weights."""
    settings = ALL_OF_IT | {"precision": precision}
    undisturbed, expected = run_fit(make_request(**settings), make_data())

    run_fit(make_request(folder=tmp_path, **settings), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(folder=tmp_path, **settings), make_data())

    assert isinstance(outcome, Trained)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))


@pytest.mark.parametrize("name", ALL_OF_IT)
def test_every_setting_changes_the_weights(name: str) -> None:
    """None of them is only declared."""
    _, plain = run_fit(make_request(max_epochs=1), make_data())
    _, other = run_fit(make_request(max_epochs=1, **{name: ALL_OF_IT[name]}), make_data())

    assert isinstance(plain, Trained)
    assert isinstance(other, Trained)
    assert plain.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("imbalance", [Imbalance.NONE, Imbalance.SAMPLING, Imbalance.WEIGHTS])
def test_label_smoothing_is_that_of_torch(imbalance: Imbalance) -> None:
    """With and without weights per class; divided by the number of images."""
    logits_BK, labels_B = torch.tensor([[1.0, 2.0, 0.5], [0.1, 0.2, 3.0]]), torch.tensor([1, 0])
    weights_K = torch.tensor([4 / 6, 4 / 3, 4 / 3]) if imbalance is Imbalance.WEIGHTS else None

    loss = make_loss(imbalance, LABELS_N, 3, CPU, label_smoothing=0.1)(logits_BK, labels_B)

    total = functional.cross_entropy(logits_BK, labels_B, weight=weights_K, label_smoothing=0.1, reduction="sum")
    assert pytest.approx(total.item() / 2) == loss.item()


def test_gradients_are_clipped() -> None:
    """A longer gradient is shortened to the limit; a shorter one stays."""
    images_BCHW, labels_B = torch.full((2, 1, 1, 1), 255, dtype=torch.uint8), torch.tensor([0, 1])
    norms = [_norm_after_step(clip, images_BCHW, labels_B) for clip in (0.0, 0.01, 1e6)]

    assert norms[0] > 0.01
    assert pytest.approx([norms[0], 0.01, norms[0]], rel=1e-4) == norms


def _norm_after_step(clip_norm: float, images_BCHW: Tensor, labels_B: Tensor) -> float:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    learner = Learner(model=model, optimizer=optimizer, precision=Precision.FP32, clip_norm=clip_norm)
    learner.step(images_BCHW, labels_B, 1e-3)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


def test_decay_spares_biases_and_normalisation() -> None:
    """Kernels and matrices decay; what has one axis does not. By default everything does."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    spared = make_recipe(TrainingConfig(decay_scope=DecayScope.WEIGHTS)).make_optimizer(model)
    plain = make_recipe(TrainingConfig()).make_optimizer(model)

    found = [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in spared.param_groups]
    assert [(0.02, [(2, 1, 3, 3), (3, 2)]), (0.0, [(2,), (2,), (2,), (3,)])] == found
    assert [(0.02, 6)] == [(group["weight_decay"], len(group["params"])) for group in plain.param_groups]


@pytest.mark.parametrize(
    ("settings", "field", "reason"),
    [
        ({"warmup": 0.3}, "warmup", "schedule one-cycle"),
        ({"warmup": 0.95, "schedule": Schedule.ONE_CYCLE}, "warmup", "between 0.0 and 0.9"),
        ({"label_smoothing": 0.1, "imbalance": Imbalance.FOCAL}, "label_smoothing", "imbalance focal"),
        ({"label_smoothing": 0.6}, "label_smoothing", "between 0.0 and 0.5"),
        ({"clip_norm": -1.0}, "clip_norm", "between 0.0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], field: str, reason: str) -> None:
    """The sentence names the setting, and the other one where two do not go together."""
    with pytest.raises(ConfigError, match=reason) as caught:
        TrainingConfig(**settings)
    assert field == caught.value.field
