# SPDX-License-Identifier: Apache-2.0
"""What changes the weights of a child: an optimizer, and a learning rate for every step.

The settings of a search are turned into a recipe here and nowhere else, so that training and checkpoints need not know
which optimizer or schedule it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

import torch
from torch import nn

from nas.config import TrainingConfig
from nas.recipe import DecayScope, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The optimizer and the schedule of a training.

    Attributes:
        make_optimizer: makes the optimizer of a net that lies on its device, and decides which parameters decay.
        rate: learning rate of a step, counted from 0, in a training of ``total`` steps: ``rate(step, total)``. Must be
            a pure function, so that a training that is continued goes on with the same rates. ``total`` counts the
            steps of all epochs that are allowed; early stopping may end the training before.
    """

    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    rate: Callable[[int, int], float]


def make_recipe(training: TrainingConfig) -> Recipe:
    """Turn settings into a recipe: Adam, at the constant rate of the paper (section IV.D.2) or in one cycle.

    Weight decay is decoupled (AdamW); docs/adr/0005 says why. The paper's applies to all weights and biases.
    """

    def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            _choose_decay(model, training),
            lr=training.learning_rate,
            betas=(training.beta1, training.beta2),
            eps=training.epsilon,
            weight_decay=training.weight_decay,
            fused=True,
        )

    match training.schedule:
        case Schedule.CONSTANT:
            return Recipe(make_optimizer=make_optimizer, rate=lambda _step, _total: training.learning_rate)
        case Schedule.ONE_CYCLE:
            return Recipe(make_optimizer=make_optimizer, rate=partial(compute_one_cycle, training))
        case _:
            assert_never(training.schedule)


def compute_one_cycle(training: TrainingConfig, step: int, total: int) -> float:
    """Return the rate of a step, counted from 0: linearly up to ``learning_rate``, then half a cosine down to almost 0.

    The last step has a rate above 0, so that it is not lost (Smith and Topin 2017 describe the cycle).
    """
    rising = round(training.warmup * total)
    if step < rising:
        return training.learning_rate * (step + 1) / rising
    share = (step - rising + 1) / (total - rising + 1)
    return training.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def effective_patience(training: TrainingConfig, epochs: int) -> int:
    """Return after how many epochs without gain a training of so many epochs stops.

    A schedule that comes down is not stopped: its last epochs are the ones that it is for.
    """
    return training.patience if training.schedule is Schedule.CONSTANT else epochs


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Make an optimizer use a learning rate for all of its parameters from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _choose_decay(model: nn.Module, training: TrainingConfig) -> Any:
    """Return the parameters of a net as an optimizer takes them; biases and normalisation are those of one axis."""
    if training.decay_scope is DecayScope.ALL:
        return model.parameters()
    parameters = list(model.parameters())
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1]},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
