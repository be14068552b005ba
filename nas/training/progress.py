# SPDX-License-Identifier: Apache-2.0
"""How far a training has got, and how that goes into a checkpoint and comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nas.child import EpochResult
from nas.training.average import WeightAverage
from nas.training.checkpoint import Checkpoint
from nas.training.early_stopping import EarlyStopping
from nas.training.state import WEIGHTS, capture_state, restore_state
from nas.training.weights import Tensors, snapshot_weights

_BEST = "best"
"""Group of the best weights in a checkpoint; left out between epochs where the current weights, or their average, are
the best."""
_AVERAGE = "average"
"""Group of the averaged weights, where there is an average."""
_PROGRESS = "progress"
_LOSS_SUMS = "loss_sums"


@dataclass(slots=True, kw_only=True, eq=False)
class EpochProgress:
    """How far one epoch has got; its order is derived, so nothing else is needed to continue it.

    Attributes:
        loss_sums: for each step done, the loss summed over the images of its batch, a scalar.
        seconds: time that these steps took.
    """

    loss_sums: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return len(self.loss_sums)


@dataclass(slots=True, kw_only=True, eq=False)
class TrainingProgress:
    """How far a training has got, apart from what its net and optimizer hold.

    Attributes:
        stopping: what early stopping knows after ``history``.
        history: every whole epoch.
        epoch: the epoch after those.
        best_weights: weights of the best epoch in ``history``; empty without one.
    """

    stopping: EarlyStopping
    history: tuple[EpochResult, ...] = ()
    epoch: EpochProgress = field(default_factory=EpochProgress)
    best_weights: Tensors = field(default_factory=dict)

    def complete_epoch(self, result: EpochResult, model: nn.Module) -> None:
        """Take in a whole epoch, and keep the weights of the validated net if no epoch was better."""
        self.history = (*self.history, result)
        self.epoch = EpochProgress()
        self.stopping = self.stopping.observe(result.epoch, result.validation.loss)
        if self.stopping.best_epoch == result.epoch:
            self.best_weights = snapshot_weights(model)

    def capture(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None = None
    ) -> Checkpoint:
        """Copy everything that the training needs to go on bit for bit."""
        groups = capture_state(model, optimizer)
        if average is not None:
            groups[_AVERAGE] = snapshot_weights(average.model)
        if self.epoch.steps:
            groups[_PROGRESS] = {_LOSS_SUMS: torch.stack(self.epoch.loss_sums).cpu()}
        if self.epoch.steps or self.stopping.best_epoch != len(self.history):
            groups[_BEST] = self.best_weights
        return Checkpoint(history=self.history, groups=groups, steps=self.epoch.steps, seconds=self.epoch.seconds)

    def restore(
        self,
        checkpoint: Checkpoint,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        average: WeightAverage | None = None,
    ) -> None:
        """Put net, optimizer, average and this record, all just made, where the checkpoint was captured."""
        groups = checkpoint.groups
        restore_state(model, optimizer, groups)
        if average is not None:
            average.model.load_state_dict(groups[_AVERAGE])
        self.history = checkpoint.history
        self.stopping = self.stopping.observe_all(checkpoint.history)
        if not checkpoint.steps:
            self.best_weights = groups.get(_BEST, groups.get(_AVERAGE, groups[WEIGHTS]))
            return
        self.best_weights = groups.get(_BEST, {})  # in the first epoch there are none
        sums = groups[_PROGRESS][_LOSS_SUMS].to(device)
        self.epoch = EpochProgress(loss_sums=list(sums.unbind()), seconds=checkpoint.seconds)
