# SPDX-License-Identifier: Apache-2.0
"""One pass over the training images, step by step."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_training import LINEAR_NET, make_images, make_request

from nas.child import ChildId
from nas.config import Precision, TrainingConfig
from nas.evaluation import evaluate
from nas.models import Network
from nas.training.epoch import EpochPlan, Learner, train_epoch
from nas.training.recipe import make_recipe
from nas.training.seeding import build_seeded, draw_order

IMAGES, LABELS = (torch.from_numpy(array) for array in make_images(10, seed=1))


def _train(net: Network, training: TrainingConfig) -> tuple[torch.optim.Optimizer, float]:
    recipe = make_recipe(training)
    learner = Learner(model=net, optimizer=recipe.make_optimizer(net), precision=Precision.FP32)
    plan = EpochPlan(order_N=torch.arange(10), batch_size=training.batch_size, rate=lambda step: recipe.rate(step, 10))
    loss = train_epoch(learner, IMAGES, LABELS, plan)
    assert loss is not None
    return learner.optimizer, loss


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 10), (4, 3), (5, 2), (64, 1)])
def test_the_last_partial_batch_is_kept(batch_size: int, steps: int) -> None:
    """Ten images in batches of four are three steps."""
    net = build_seeded(make_request(LINEAR_NET))

    optimizer, _ = _train(net, TrainingConfig(batch_size=batch_size))

    assert [steps, steps] == [optimizer.state[parameter]["step"].item() for parameter in net.parameters()]


def test_training_loss_is_a_mean_over_images() -> None:
    """With weights that hardly move, it is the mean cross-entropy, although the last batch is smaller."""
    net = build_seeded(make_request(LINEAR_NET))
    before = evaluate(net, IMAGES, LABELS, classes=3, batch_size=10, precision=Precision.FP32)

    _, loss = _train(net, TrainingConfig(batch_size=4, learning_rate=1e-9))

    assert pytest.approx(before.loss, rel=1e-5) == loss


def test_the_cpu_stops_before_a_step_that_would_spoil_the_weights() -> None:
    """A loss that is not a number is neither propagated back nor stepped on."""
    net = build_seeded(make_request(LINEAR_NET))
    weight, bias = net.parameters()
    with torch.no_grad():
        weight[0, 0] = math.nan
    before = bias.detach().clone()

    _, loss = _train(net, TrainingConfig(batch_size=4))

    assert math.isnan(loss)
    assert torch.equal(before, bias)


def test_weights_are_seeded_by_search_and_child() -> None:
    """The initial weights are those of PyTorch's own initialisation under the derived seed, in every run the same."""
    weight, bias = build_seeded(make_request(LINEAR_NET)).parameters()

    bound = 1 / math.sqrt(64)
    assert -bound <= weight.min() < weight.max() <= bound
    assert torch.equal(weight, next(build_seeded(make_request(LINEAR_NET)).parameters()))
    assert bias.abs().max() > 0


def test_an_order_is_the_same_everywhere_and_forever() -> None:
    """Neither a version of torch nor one of numpy may change which images an epoch begins with."""
    assert [7, 4, 3, 8, 5, 1, 6, 0, 9, 2] == draw_order(7, ChildId(2, 3), 4, 10).tolist()


def test_an_order_has_every_image_once() -> None:
    """Each epoch of each child of each search shuffles anew."""
    paths = [(1, ChildId(1, 1), 1), (1, ChildId(1, 1), 2), (1, ChildId(1, 2), 1), (2, ChildId(1, 1), 1)]
    orders = {tuple(draw_order(*path, 1000).tolist()) for path in paths}

    assert 4 == len(orders)
    assert {tuple(range(1000))} == {tuple(sorted(order)) for order in orders}


def test_orders_are_uniform() -> None:
    """Over 6,000 epochs each of the six orders of three images comes about 1,000 times."""
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(6000):
        order = tuple(draw_order(1, ChildId(1, 1), epoch, 3).tolist())
        counts[order] = counts.get(order, 0) + 1

    assert 6 == len(counts)
    assert all(abs(count - 1000) < 5 * math.sqrt(1000) for count in counts.values())
