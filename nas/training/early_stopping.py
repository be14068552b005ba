# SPDX-License-Identifier: Apache-2.0
"""When a training ends before its last epoch, as a fold over the validation losses (paper section IV.D.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas.child import EpochResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """What is known after some epochs.

    Attributes:
        patience: epochs in a row without a lower loss that end the training.
        best_epoch: with the lowest loss so far, the earliest on a tie; 0 before the first epoch.
        best_loss: its validation loss.
        epochs_without_gain: since then.
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
        """Take in one more epoch; a loss equal to the best is no gain, however small the difference would be."""
        if validation_loss < self.best_loss:
            return replace(self, best_epoch=epoch, best_loss=validation_loss, epochs_without_gain=0)
        return replace(self, epochs_without_gain=self.epochs_without_gain + 1)

    def observe_all(self, history: Iterable[EpochResult]) -> EarlyStopping:
        """Take in several epochs, so that a resumed training knows what the first one knew."""
        state = self
        for result in history:
            state = state.observe(result.epoch, result.validation.loss)
        return state
