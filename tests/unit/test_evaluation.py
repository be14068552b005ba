# SPDX-License-Identifier: Apache-2.0
"""Evaluation against numpy in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from nas.architecture import Architecture
from nas.config import InputShape, Precision
from nas.evaluation import compute_logits, evaluate
from nas.layers import Conv, Flatten, Linear
from nas.models import Network, build

SHAPE = InputShape(channels=1, height=4, width=4)
CLASSES = 5
"""One more than the labels below name."""


@pytest.fixture
def net() -> Network:
    """A linear net, so that numpy can do the same sums."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return build(Architecture((Flatten(), Linear(outputs=CLASSES))), SHAPE)


@pytest.fixture
def images() -> Tensor:
    """50 random images."""
    return torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def labels() -> Tensor:
    """Their labels, of classes 0 to 3."""
    return torch.randint(0, 4, (50,), generator=torch.Generator().manual_seed(3))


def _logits(net: Network, images: Tensor) -> npt.NDArray[np.float64]:
    weight, bias = (tensor.detach().double().numpy() for tensor in net.parameters())
    logits: npt.NDArray[np.float64] = images.double().numpy().reshape(len(images), -1) / 255 @ weight.T + bias
    return logits


def test_loss_is_the_mean_cross_entropy(net: Network, images: Tensor, labels: Tensor) -> None:
    """Pixels are divided by 255 and otherwise left alone; every image counts the same, also those of a short batch."""
    result = evaluate(net, images, labels, classes=CLASSES, batch_size=16, precision=Precision.FP32)

    logits = _logits(net, images)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), labels.numpy()]
    assert pytest.approx(expected.mean(), rel=1e-6) == result.loss


def test_counts_are_given_for_every_class(net: Network, images: Tensor, labels: Tensor) -> None:
    """A class that no image belongs to has counts of zero."""
    result = evaluate(net, images, labels, classes=CLASSES, batch_size=16, precision=Precision.FP32)

    truth, answers = labels.numpy(), _logits(net, images).argmax(axis=1)
    assert tuple(int((truth == k).sum()) for k in range(CLASSES)) == result.total
    assert tuple(int(((truth == k) & (answers == k)).sum()) for k in range(CLASSES)) == result.correct
    assert 0 < sum(result.correct) < 50


def test_counts_do_not_depend_on_the_batch_size(net: Network, images: Tensor, labels: Tensor) -> None:
    """One image at a time gives the same answers as all at once."""
    results = {
        evaluate(net, images, labels, classes=CLASSES, batch_size=size, precision=Precision.FP32).correct
        for size in (1, 7, 50, 1000)
    }

    assert 1 == len(results)


def test_infinite_weights_give_a_loss_that_is_not_finite(net: Network, images: Tensor, labels: Tensor) -> None:
    """A broken net is measured, not a traceback."""
    with torch.no_grad():
        next(net.parameters()).fill_(math.inf)

    result = evaluate(net, images, labels, classes=CLASSES, batch_size=16, precision=Precision.FP32)

    assert not result.is_finite


def test_evaluation_leaves_the_weights_without_gradients(net: Network, images: Tensor, labels: Tensor) -> None:
    """Nothing is recorded for a backward pass, and the net is left in evaluation mode."""
    net.train()

    evaluate(net, images, labels, classes=CLASSES, batch_size=16, precision=Precision.FP32)

    assert not net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_bf16_rounds_the_products_and_answers_in_float32(images: Tensor) -> None:
    """BF16 gives other, close logits; both precisions answer in float32."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = build(Architecture((Conv(filters=8, kernel=3), Flatten(), Linear(outputs=CLASSES))), SHAPE)

    exact = compute_logits(net, images, Precision.FP32)
    rounded = compute_logits(net, images, Precision.BF16)

    assert torch.float32 == exact.dtype == rounded.dtype
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, rtol=0.05, atol=0.05)
