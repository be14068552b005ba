# SPDX-License-Identifier: Apache-2.0
"""One pass over the training images: forward, backward, step (paper sections III.B and IV.D.2).

Legend: N = images, B = images of one batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.config import Precision, TrainingConfig
from nas.evaluation import compute_logits
from nas.training.augmentation import Augmentation
from nas.training.imbalance import Loss


@dataclass(slots=True, kw_only=True, eq=False)
class EpochProgress:
    """How far the training of one epoch has got; the order of an epoch is derived, so this is all to go on from.

    Attributes:
        loss_sums: of each step done, the loss summed over the images of its batch, a scalar.
        seconds: that these steps took.
    """

    loss_sums: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return len(self.loss_sums)


def make_optimizer(model: nn.Module, training: TrainingConfig) -> torch.optim.AdamW:
    """Make Adam with decoupled weight decay on all weights and biases; docs/paper-map.md says why decoupled."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        betas=(training.beta1, training.beta2),
        eps=training.epsilon,
        weight_decay=training.weight_decay,
        fused=True,
    )


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images_NCHW: Tensor,
    labels_N: Tensor,
    order_N: Tensor,
    *,
    batch_size: int,
    precision: Precision,
    compute_loss: Loss = functional.cross_entropy,
    augmentation: Augmentation | None = None,
    progress: EpochProgress | None = None,
    on_step: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> float | None:
    """Train on the images of one epoch; the last batch may be smaller.

    Args:
        model: on the device of the images.
        optimizer: of that model.
        images_NCHW: uint8.
        labels_N: int64.
        order_N: indices of the images in the order of their use, on the device of the images.
        batch_size: B of all batches but the last.
        precision: FP32 or BF16.
        compute_loss: mean over a batch of what is to become smaller.
        augmentation: how the images are varied.
        progress: the steps that are done already; each further one is added to it.
        on_step: called after every step.
        should_stop: asked before every step.

    Returns:
        None if it was asked to stop before the last step; else the mean loss, each image as seen by the
        weights of its step. If it is not finite the weights are of no use. The CPU stops before the step that would
        spoil them; an accelerator is not made to wait for every loss, so there it shows at the end.
    """
    progress = EpochProgress() if progress is None else progress
    model.train()
    for batch_B in torch.split(order_N, batch_size)[progress.steps :]:
        if should_stop():
            return None
        optimizer.zero_grad(set_to_none=True)
        images_BCHW = images_NCHW[batch_B]
        if augmentation is not None:
            images_BCHW = augmentation.apply(images_BCHW, progress.steps * batch_size)
        logits_BK = compute_logits(model, images_BCHW, precision)
        loss = compute_loss(logits_BK, labels_N[batch_B])
        if loss.device.type == "cpu" and not math.isfinite(loss.item()):
            return loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress.loss_sums.append(loss.detach() * len(batch_B))
        on_step()
    return torch.stack(progress.loss_sums).cpu().double().sum().item() / len(order_N)
