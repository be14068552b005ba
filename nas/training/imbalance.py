# SPDX-License-Identifier: Apache-2.0
"""What a training can do about classes of different size. Validation is the same with all of these remedies.

Legend: N = images, B = images of one batch, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
"""Maps logits (B, K) and labels (B,) to the scalar that a step makes smaller, a mean over the batch."""

FOCAL_GAMMA = 2.0
"""Lin et al. 2017, section 3.2. Their alpha, a weight per class, is left out: ``WEIGHTS`` is that remedy."""


def compute_class_weights(labels_N: Labels, classes: int) -> npt.NDArray[np.float64]:
    """Weigh each class by how rare it is: N / (K n) for a class with n images, so that the mean over images is 1.

    Returns:
        One weight per class (K,). A class without images has weight 0 and is not counted in the formula's K.
    """
    counts_K = np.bincount(labels_N, minlength=classes)
    present = np.count_nonzero(counts_K)
    return np.where(counts_K > 0, len(labels_N) / (present * np.maximum(counts_K, 1)), 0.0)


def make_loss(
    imbalance: Imbalance, labels_N: Labels, classes: int, device: torch.device, *, label_smoothing: float = 0.0
) -> Loss:
    """Make the loss that a training minimises.

    Args:
        imbalance: the remedy.
        labels_N: labels of the training part; class weights are computed from them.
        classes: K.
        device: device of the logits.
        label_smoothing: share of each label that is spread over all classes; focal loss does without.
    """
    entropy: Callable[..., Tensor] = functional.cross_entropy
    if label_smoothing:
        entropy = partial(functional.cross_entropy, label_smoothing=label_smoothing)
    match imbalance:
        case Imbalance.NONE | Imbalance.SAMPLING:
            return entropy
        case Imbalance.WEIGHTS:
            weights_K = torch.from_numpy(compute_class_weights(labels_N, classes)).float().to(device)
            return lambda logits_BK, labels_B: _weighted_loss(entropy, logits_BK, labels_B, weights_K)
        case Imbalance.FOCAL:
            return _focal_loss
        case _:
            assert_never(imbalance)


def draw_epoch(
    imbalance: Imbalance, search_seed: int, child_id: ChildId, epoch: int, labels_N: Labels
) -> npt.NDArray[np.int64]:
    """Draw the training images of an epoch, in their order.

    Without ``SAMPLING`` that is every image once. With it every class has the same number of places, to within one: a
    frequent class shows some of its images, different ones in each epoch; a rare class repeats its images until its
    places are filled, and the numbers of times that two of its images are shown differ by at most 1.

    Returns:
        Indices of images (N,), derived from seed, child and epoch, and so the same when a training is continued.
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


def _weighted_loss(entropy: Callable[..., Tensor], logits_BK: Tensor, labels_B: Tensor, weights_K: Tensor) -> Tensor:
    # PyTorch's mean divides by the sum of the batch's weights, which cancels them in a batch of one class. B does not.
    return entropy(logits_BK, labels_B, weight=weights_K, reduction="sum") / len(labels_B)


def _focal_loss(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    entropy_B = functional.cross_entropy(logits_BK, labels_B, reduction="none")
    unsure_B = -torch.expm1(-entropy_B)  # 1 - p of the right class, exact where p is close to 1
    return (unsure_B**FOCAL_GAMMA * entropy_B).mean()
