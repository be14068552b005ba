# SPDX-License-Identifier: Apache-2.0
"""One pass over the training images: forward, backward, step (paper sections III.B and IV.D.2).

Legend: N = images, B = images of one batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.config import Precision, TrainingConfig
from nas.evaluation import compute_logits


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
    on_step: Callable[[], None] = lambda: None,
) -> float:
    """Train on every image once; the last batch may be smaller.

    Args:
        model: on the device of the images.
        optimizer: of that model.
        images_NCHW: uint8.
        labels_N: int64.
        order_N: permutation of ``range(N)``, on the device of the images.
        batch_size: B of all batches but the last.
        precision: FP32 or BF16.
        on_step: called after every step.

    Returns:
        The mean cross-entropy, each image as seen by the weights of its step. If it is not finite the weights are of no
        use. The CPU stops before the step that would spoil them; an accelerator is not made to wait for every loss, so
        there it shows at the end.
    """
    model.train()
    sums: list[Tensor] = []
    for batch_B in torch.split(order_N, batch_size):
        optimizer.zero_grad(set_to_none=True)
        logits_BK = compute_logits(model, images_NCHW[batch_B], precision)
        loss = functional.cross_entropy(logits_BK, labels_N[batch_B])
        if loss.device.type == "cpu" and not math.isfinite(loss.item()):
            return loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums.append(loss.detach() * len(batch_B))
        on_step()
    return torch.stack(sums).cpu().double().sum().item() / len(order_N)
