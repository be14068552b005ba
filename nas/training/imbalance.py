# SPDX-License-Identifier: Apache-2.0
"""What a training can do about classes of different size; validation is the same whatever it does.

Legend: N = images, B = images of one batch, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nas.child import ChildId
from nas.config import Imbalance
from nas.training.request import Labels
from nas.training.seeding import draw_order

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (B, K) and labels (B,) to the scalar that a step makes smaller."""

FOCAL_GAMMA = 2.0
"""Lin et al. 2017, section 3.2; without their alpha, which would be a second remedy in one."""


def compute_class_weights(labels_N: Labels, classes: int) -> npt.NDArray[np.float64]:
    """Weigh each class by how rare it is: N / (K n), n being its images, so that the mean weight of an image is 1.

    Returns:
        One weight a class (K,); a class without an image has weight 0, and K counts only the others.
    """
    counts_K = np.bincount(labels_N, minlength=classes)
    present = np.count_nonzero(counts_K)
    return np.where(counts_K > 0, len(labels_N) / (present * np.maximum(counts_K, 1)), 0.0)


def make_loss(imbalance: Imbalance, labels_N: Labels, classes: int, device: torch.device) -> Loss:
    """Make the loss of a training.

    Args:
        imbalance: the remedy.
        labels_N: of the training part, from which class weights are taken.
        classes: K.
        device: of the logits.
    """
    match imbalance:
        case Imbalance.NONE | Imbalance.SAMPLING:
            return functional.cross_entropy
        case Imbalance.WEIGHTS:
            weights_K = torch.from_numpy(compute_class_weights(labels_N, classes)).float().to(device)
            return lambda logits_BK, labels_B: _weighted_loss(logits_BK, labels_B, weights_K)
        case Imbalance.FOCAL:
            return _focal_loss
        case _:
            assert_never(imbalance)


def draw_epoch(
    imbalance: Imbalance, search_seed: int, child_id: ChildId, epoch: int, labels_N: Labels
) -> npt.NDArray[np.int64]:
    """Draw which training images an epoch shows, in their order: N of them, derived and so the same on resume.

    Every image once, or with ``SAMPLING`` equally many of each class, to within one: of a frequent class some images,
    other ones in another epoch; of a rare one all, as often as it takes, none more than once oftener than another.
    """
    order_N = draw_order(search_seed, child_id, epoch, len(labels_N))
    if imbalance is not Imbalance.SAMPLING:
        return order_N
    shuffled_N = labels_N[order_N]
    present = np.unique(labels_N)
    shares = np.full(len(present), len(labels_N) // len(present))
    shares[: len(labels_N) % len(present)] += 1
    chosen_N = np.concatenate(
        [np.resize(order_N[shuffled_N == label], share) for label, share in zip(present, shares, strict=True)]
    )
    return chosen_N[draw_order(search_seed, child_id, epoch, len(labels_N), purpose="sampling")]


def _weighted_loss(logits_BK: Tensor, labels_B: Tensor, weights_K: Tensor) -> Tensor:
    # Divided by B, not by the batch's weights as PyTorch's mean is: that would take the weights back in a small batch.
    return functional.cross_entropy(logits_BK, labels_B, weight=weights_K, reduction="sum") / len(labels_B)


def _focal_loss(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    entropy_B = functional.cross_entropy(logits_BK, labels_B, reduction="none")
    unsure_B = -torch.expm1(-entropy_B)  # 1 - p of the right class, exact where p is close to 1
    return (unsure_B**FOCAL_GAMMA * entropy_B).mean()
