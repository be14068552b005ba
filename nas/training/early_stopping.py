# SPDX-License-Identifier: Apache-2.0
"""Early stopping: when a training ends before its last epoch, from its validation losses (paper section IV.D.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas.child import EpochResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """What early stopping knows after some epochs.

    Attributes:
        patience: the training ends after this many epochs in a row without a lower validation loss.
        best_epoch: the epoch with the lowest validation loss, the earliest on a tie; 0 before the first epoch.
        best_loss: validation loss of that epoch.
        epochs_without_gain: number of epochs since that epoch.
    """

    patience: int
    best_epoch: int = 0
    best_loss: float = math.inf
    epochs_without_gain: int = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether the training must end now."""
        return self.epochs_without_gain >= self.patience

    def observe(self, epoch: int, validation_loss: float) -> EarlyStopping:
        """Return what is known after one more epoch; any lower loss is a gain, an equal one is none."""
        if validation_loss < self.best_loss:
            return replace(self, best_epoch=epoch, best_loss=validation_loss, epochs_without_gain=0)
        return replace(self, epochs_without_gain=self.epochs_without_gain + 1)

    def observe_all(self, history: Iterable[EpochResult]) -> EarlyStopping:
        """Return what is known after several more epochs, such as those of a checkpoint."""
        state = self
        for result in history:
            state = state.observe(result.epoch, result.validation.loss)
        return state
