# SPDX-License-Identifier: Apache-2.0
"""What changes the weights of a child: an optimizer, and a learning rate for every step.

The settings of a search are turned into a recipe here and nowhere else, so that training and checkpoints need not know
which optimizer or schedule it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nas.config import TrainingConfig


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
    """Turn settings into the recipe of the paper (section IV.D.2): Adam at a constant rate.

    "Weight decay 0.02" is decoupled (AdamW) and applies to all weights and biases; docs/adr/0005 says why.
    """

    def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            model.parameters(),
            lr=training.learning_rate,
            betas=(training.beta1, training.beta2),
            eps=training.epsilon,
            weight_decay=training.weight_decay,
            fused=True,
        )

    return Recipe(make_optimizer=make_optimizer, rate=lambda _step, _total: training.learning_rate)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Make an optimizer use a learning rate for all of its parameters from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
