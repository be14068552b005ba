# SPDX-License-Identifier: Apache-2.0
"""Recipes: which rate each step takes, and that another optimizer and schedule are continued bit for bit.

The small training has four epochs of six training and three validation batches.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import Stopper, make_data, make_request, run_fit, without_times
from torch import nn

from nas.training import Interrupted, Trained, attempt
from nas.training.recipe import Recipe, make_recipe, set_rate

STEPS = 24


def _one_cycle(step: int, total: int) -> float:
    """Up for a quarter of the steps, then down along half a cosine."""
    peak = total // 4
    if step < peak:
        return 0.1 * (step + 1) / peak
    return 0.05 * (1 + math.cos(math.pi * (step - peak) / (total - peak)))


def _momentum(model: nn.Module) -> torch.optim.Optimizer:
    """Decay on matrices and kernels alone, so that there are two groups."""
    parameters = list(model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": 0.01},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=1e-6, momentum=0.9)


@pytest.fixture(params=["Adam", "momentum"])
def one_cycle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Train by another recipe than the settings say; returns the steps and totals that rates were asked for."""
    asked: list[tuple[int, int]] = []

    def rate(step: int, total: int) -> float:
        asked.append((step, total))
        return _one_cycle(step, total)

    paper = make_recipe(make_request().training)
    make_optimizer = paper.make_optimizer if request.param == "Adam" else _momentum
    monkeypatch.setattr(attempt, "make_recipe", lambda _training: Recipe(make_optimizer=make_optimizer, rate=rate))
    return asked


def test_every_step_takes_the_rate_of_its_place_in_the_whole_training(one_cycle: list[tuple[int, int]]) -> None:
    """Steps are counted through all epochs, and the total is known from the first one."""
    _, outcome = run_fit(make_request(), make_data())

    assert isinstance(outcome, Trained)
    assert [(step, STEPS) for step in range(STEPS)] == one_cycle


@pytest.mark.parametrize("batches", [2, 6, 9, 13, 33])
def test_a_schedule_is_continued_bit_for_bit(tmp_path: Path, one_cycle: list[tuple[int, int]], batches: int) -> None:
    """Interrupted within an epoch or between two, the next step takes the rate that it would have taken."""
    undisturbed, expected = run_fit(make_request(), make_data())
    one_cycle.clear()

    run_fit(make_request(folder=tmp_path), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(folder=tmp_path), make_data())

    assert isinstance(outcome, Trained)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))
    assert [(step, STEPS) for step in range(STEPS)] == one_cycle


def test_a_schedule_is_continued_after_every_step(tmp_path: Path, one_cycle: list[tuple[int, int]]) -> None:
    """One batch per attempt gets to the same weights."""
    _, expected = run_fit(make_request(), make_data())
    outcome: object = Interrupted(epoch=1, steps=0)
    while isinstance(outcome, Interrupted):
        _, outcome = run_fit(make_request(folder=tmp_path), make_data(), Stopper(1))

    assert expected == outcome
    assert len(one_cycle) == 2 * STEPS


def test_the_rates_change_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule is not only asked: at a rate of 0 the weights of the first step stay, and the loss with them."""
    paper = make_recipe(make_request().training)
    asleep = Recipe(make_optimizer=paper.make_optimizer, rate=lambda step, _total: 0.02 if step < 6 else 0.0)
    monkeypatch.setattr(attempt, "make_recipe", lambda _training: asleep)

    epochs, _ = run_fit(make_request(patience=4), make_data())

    assert [epochs[0].validation] * 4 == [result.validation for result in epochs]


def test_a_rate_holds_for_all_parameters() -> None:
    """An optimizer with two groups of parameters gets one rate, and keeps what else tells them apart."""
    optimizer = _momentum(nn.Linear(3, 2))

    set_rate(optimizer, 0.5)

    assert [(0.5, 0.01), (0.5, 0.0)] == [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
