# SPDX-License-Identifier: Apache-2.0
"""A moving average of the weights over the steps of a training; it often predicts better than the last ones."""

from __future__ import annotations

import copy

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The exponential moving average (EMA) of parameters and floating-point buffers, such as running statistics.

    Early steps count for little in a long memory, so the decay grows with the step up to ``most_decay``. Buffers of
    whole numbers, such as counters of batches, are taken over as they are.

    Attributes:
        model: the net with the averaged weights, on the device of the trained one.
        trained: the net whose weights are averaged; its tensors must stay the same ones.
    """

    def __init__(self, model: nn.Module, most_decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.trained = model
        self._most_decay = most_decay
        # Weights are changed in place, so the tensors are looked up once and not in every step.
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        self._averages, self._values = [average for average, _ in real], [value for _, value in real]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    def restart(self) -> None:
        """Begin again with the weights that the trained net has now."""
        self.model.load_state_dict(self.trained.state_dict())

    def update(self, step: int) -> None:
        """Take in the weights of the trained net after a step, counted from 1 through the whole training."""
        mix = get_ema_multi_avg_fn(compute_decay(self._most_decay, step))  # type: ignore[no-untyped-call]
        mix(self._averages, self._values, step)
        for average, value in self._copied:
            average.copy_(value)


def compute_decay(most_decay: float, step: int) -> float:
    """Return the share of the average that stays in a step, counted from 1."""
    return min(most_decay, (1 + step) / (10 + step))
