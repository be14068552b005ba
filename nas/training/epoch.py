# SPDX-License-Identifier: Apache-2.0
"""One pass over the training images: forward, backward, step (paper sections III.B and IV.D.2).

Legend: N = images, B = images of one batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.config import Precision
from nas.evaluation import compute_logits
from nas.training.augmentation import Augmentation
from nas.training.average import WeightAverage
from nas.training.imbalance import Loss
from nas.training.progress import EpochProgress
from nas.training.recipe import set_rate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learner:
    """A net and how a batch of images changes its weights.

    Attributes:
        model: on the device that it trains on.
        optimizer: of that model.
        precision: FP32 or BF16.
        compute_loss: mean over a batch that a step makes smaller.
        clip_norm: largest norm of all gradients together; 0 for no limit.
        average: of the weights of that model; None keeps none.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    compute_loss: Loss = functional.cross_entropy
    clip_norm: float = 0.0
    average: WeightAverage | None = None

    @property
    def kept_model(self) -> nn.Module:
        """The net that is validated and kept: the one with averaged weights where there is one."""
        return self.model if self.average is None else self.average.model

    def step(self, images_BCHW: Tensor, labels_B: Tensor, rate: float) -> Tensor:
        """Take one step at a learning rate, and return the loss before it, a scalar on the device.

        A loss that is not finite takes no step on the CPU. An accelerator is not made to wait for it and steps.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.compute_loss(compute_logits(self.model, images_BCHW, self.precision), labels_B)
        if not _is_known_to_diverge(loss):
            set_rate(self.optimizer, rate)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return loss.detach()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EpochPlan:
    """The images of one epoch in their order, how they are varied, and the learning rates.

    Attributes:
        order_N: indices of the images in the order of their use, int64, on the device of the images.
        batch_size: B of all batches but the last, which may be smaller.
        rate: learning rate of each step of this epoch, counted from 0.
        augmentation: how the images are varied; None leaves them as they are.
        first_step: number of steps in the epochs before.
    """

    order_N: Tensor
    batch_size: int
    rate: Callable[[int], float]
    augmentation: Augmentation | None = None
    first_step: int = 0


def train_epoch(
    learner: Learner,
    images_NCHW: Tensor,
    labels_N: Tensor,
    plan: EpochPlan,
    *,
    progress: EpochProgress | None = None,
    on_step: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> float | None:
    """Train on the images (uint8) and labels (int64) of one epoch.

    Args:
        learner: on the device of the images.
        images_NCHW: uint8.
        labels_N: int64.
        plan: what this epoch does.
        progress: the steps that are done already; each further one is added to it.
        on_step: called after every step.
        should_stop: asked before every step.

    Returns:
        The mean loss, each image as seen by the weights of its step; None if it was asked to stop before the last step.
        If it is not finite the weights are of no use: the CPU stops there, an accelerator at the end of the epoch.
    """
    progress = EpochProgress() if progress is None else progress
    learner.model.train()
    for batch_B in torch.split(plan.order_N, plan.batch_size)[progress.steps :]:
        if should_stop():
            return None
        images_BCHW = images_NCHW[batch_B]
        if plan.augmentation is not None:
            images_BCHW = plan.augmentation.apply(images_BCHW, progress.steps * plan.batch_size)
        loss = learner.step(images_BCHW, labels_N[batch_B], plan.rate(progress.steps))
        if _is_known_to_diverge(loss):
            return loss.item()
        progress.loss_sums.append(loss * len(batch_B))
        if learner.average is not None:
            learner.average.update(plan.first_step + progress.steps)
        on_step()
    return torch.stack(progress.loss_sums).cpu().double().sum().item() / len(plan.order_N)


def _is_known_to_diverge(loss: Tensor) -> bool:
    """Whether a loss on the CPU is not finite; reading it from an accelerator would cost a wait in every step."""
    return loss.device.type == "cpu" and not math.isfinite(loss.item())
