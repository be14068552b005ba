# SPDX-License-Identifier: Apache-2.0
"""The average of the weights: how it is computed, that it is what counts, and that it continues bit for bit."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import SMALL_NET, Stopper, make_data, make_request, run_fit, without_times
from torch import nn

from nas.training import BEST_WEIGHTS, FitRequest, Trained, attempt
from nas.training.average import WeightAverage, compute_decay
from nas.training.request import Inherited

EMA: dict[str, Any] = {"ema": 0.9, "learning_rate": 0.02}


def _build_with_norm(request: FitRequest) -> nn.Module:
    """A net with running statistics, and the same initial weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.search_seed)
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
        )


@pytest.fixture(params=["plain", "norm"])
def _net(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "norm":
        monkeypatch.setattr(attempt, "build_seeded", _build_with_norm)


def test_the_decay_grows_up_to_the_setting() -> None:
    """An average of few steps forgets quickly."""
    assert [2 / 11, 3 / 12, 0.9, 0.9] == [compute_decay(0.9, step) for step in (1, 2, 80, 10_000)]


def test_parameters_and_statistics_are_averaged() -> None:
    """Counters of batches are taken over; the trained net is not touched."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = WeightAverage(model, 0.5)
    before = copy.deepcopy(model.state_dict())
    for tensor in model.state_dict().values():
        tensor.add_(1)
    after = copy.deepcopy(model.state_dict())

    average.update(100)

    expected = {name: value + 0.5 if value.is_floating_point() else value + 1 for name, value in before.items()}
    for name, value in average.model.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert all(torch.equal(after[name], value) for name, value in model.state_dict().items())


@pytest.mark.usefixtures("_net")
@pytest.mark.parametrize("batches", [1, 2, 9, 13, 20])
def test_an_interruption_changes_nothing(tmp_path: Path, batches: int) -> None:
    """Within an epoch and between two: the same losses and the same averaged weights."""
    undisturbed, expected = run_fit(make_request(**EMA), make_data())

    run_fit(make_request(folder=tmp_path, **EMA), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(folder=tmp_path, **EMA), make_data())

    assert isinstance(outcome, Trained)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))


@pytest.mark.usefixtures("_net")
def test_the_average_is_validated_and_kept(tmp_path: Path) -> None:
    """The losses of training are those without an average; those of validation, and the kept weights, are others."""
    plain, plain_outcome = run_fit(make_request(**EMA | {"ema": 0.0}), make_data())
    epochs, outcome = run_fit(make_request(folder=tmp_path, **EMA), make_data())

    assert isinstance(outcome, Trained)
    assert isinstance(plain_outcome, Trained)
    assert [each.training_loss for each in plain[:2]] == [each.training_loss for each in epochs[:2]]
    assert plain[0].validation != epochs[0].validation
    assert plain_outcome.weights_sha256 != outcome.weights_sha256


def test_the_kept_weights_are_the_mean_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed again beside the training, from the weights after each step."""
    seen: list[dict[str, torch.Tensor]] = []
    update = WeightAverage.update

    def watch(average: WeightAverage, step: int) -> None:
        if not seen:
            seen.append(copy.deepcopy(average.model.state_dict()))
        seen.append(copy.deepcopy(average.trained.state_dict()))
        update(average, step)

    monkeypatch.setattr(WeightAverage, "update", watch)
    run_fit(make_request(folder=tmp_path, max_epochs=1, **EMA), make_data())

    kept = safetensors.torch.load((tmp_path / BEST_WEIGHTS).read_bytes())
    expected = seen[0]
    for step, weights in enumerate(seen[1:], start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * weights[name] for name in expected}
    assert 7 == len(seen)
    for name, value in kept.items():
        torch.testing.assert_close(value, expected[name])


def test_an_average_begins_with_inherited_weights(tmp_path: Path) -> None:
    """Where hardly a step is taken, the average is what was inherited, and not the fresh weights."""
    _, parent = run_fit(make_request(SMALL_NET, tmp_path, learning_rate=0.02), make_data())
    assert isinstance(parent, Trained)
    path = tmp_path / BEST_WEIGHTS
    theirs = safetensors.torch.load(path.read_bytes())
    inherited = Inherited(
        path=path, sha256=parent.weights_sha256, origins=tuple((name, name) for name in sorted(theirs))
    )
    asleep = make_request(SMALL_NET, tmp_path / "child", learning_rate=1e-9, max_epochs=1, ema=0.9, weight_decay=0.0)

    epochs, _ = run_fit(replace(asleep, inherited=inherited), make_data())

    assert pytest.approx(parent.evaluation.loss, rel=1e-4) == epochs[0].validation.loss
