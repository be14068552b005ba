# SPDX-License-Identifier: Apache-2.0
"""How a net reads images, and how its answers are counted, in training, validation and test alike.

Legend: N = images, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.child import Evaluation
from nas.config import Precision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a net answers about the images of one part.

    Attributes:
        evaluation: loss and counts of these answers.
        logits_NK: float32, on the device of the net.
    """

    evaluation: Evaluation
    logits_NK: Tensor

    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the softmax of the logits, float64 (N, K); each row sums to 1."""
        found: npt.NDArray[np.float64] = self.logits_NK.cpu().double().softmax(dim=1).numpy()
        return found


def compute_logits(model: nn.Module, images_NCHW: Tensor, precision: Precision) -> Tensor:
    """Run one batch: pixels, divided by 255 and not standardised, to float32 logits (N, K).

    Args:
        model: on the device of the images.
        images_NCHW: uint8; or float32 on the same scale, which may be overwritten.
        precision: FP32 or BF16; in BF16 the convolutions and products run in bfloat16, all else in float32.
    """
    x_NCHW = images_NCHW.to(torch.float32, memory_format=torch.channels_last).div_(255.0)
    with torch.autocast(x_NCHW.device.type, dtype=torch.bfloat16, enabled=precision is Precision.BF16):
        logits_NK: Tensor = model(x_NCHW)
    return logits_NK.float()


def evaluate(
    model: nn.Module,
    images_NCHW: Tensor,
    labels_N: Tensor,
    *,
    classes: int,
    batch_size: int,
    precision: Precision,
    on_step: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure a net on one part of a data set; the model is left in evaluation mode.

    Args:
        model: on the device of the images.
        images_NCHW: uint8.
        labels_N: int64 in ``range(classes)``, on the device of the images.
        classes: K, counts are given for each.
        batch_size: images per forward pass; bounds the memory.
        precision: FP32 or BF16.
        on_step: called after every batch.

    Returns:
        The mean cross-entropy, summed in float64, and the counts. A loss that is not finite is returned as it is.
    """
    return ask(
        model, images_NCHW, labels_N, classes=classes, batch_size=batch_size, precision=precision, on_step=on_step
    ).evaluation


def ask(
    model: nn.Module,
    images_NCHW: Tensor,
    labels_N: Tensor,
    *,
    classes: int,
    batch_size: int,
    precision: Precision,
    on_step: Callable[[], None] = lambda: None,
) -> Answers:
    """Do what ``evaluate`` does, and return the logits of each image as well."""
    model.eval()
    logits, losses, hits = [], [], []
    with torch.inference_mode():
        for batch_NCHW, batch_labels_N in zip(
            torch.split(images_NCHW, batch_size), torch.split(labels_N, batch_size), strict=True
        ):
            logits_NK = compute_logits(model, batch_NCHW, precision)
            logits.append(logits_NK)
            losses.append(functional.cross_entropy(logits_NK, batch_labels_N, reduction="none"))
            hits.append(logits_NK.argmax(dim=1) == batch_labels_N)
            on_step()
        # On the CPU from here on: MPS has no float64, and an accelerator has then been waited for only once.
        losses_N, hits_N, truth_N = torch.cat(losses).cpu(), torch.cat(hits).cpu(), labels_N.cpu()
    evaluation = Evaluation(
        loss=losses_N.double().mean().item(),
        correct=tuple(torch.bincount(truth_N[hits_N], minlength=classes).tolist()),
        total=tuple(torch.bincount(truth_N, minlength=classes).tolist()),
    )
    return Answers(evaluation=evaluation, logits_NK=torch.cat(logits))
