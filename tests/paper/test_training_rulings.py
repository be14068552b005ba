# SPDX-License-Identifier: Apache-2.0
"""How the paper trains a child; each test quotes it and admits where it leaves room."""

from __future__ import annotations

import math

import torch
from tiny_training import LINEAR_NET, SMALL_NET, make_data, make_images, make_request, run_fit

from nas.child import ChildId
from nas.config import Precision, TrainingConfig
from nas.evaluation import compute_logits
from nas.training import Trained
from nas.training.early_stopping import EarlyStopping
from nas.training.epoch import EpochPlan, Learner, train_epoch
from nas.training.recipe import make_recipe
from nas.training.seeding import build_seeded, draw_order

PAPER = TrainingConfig()


def _epochs_trained(losses: list[float]) -> int:
    state = EarlyStopping(patience=PAPER.patience)
    for epoch, loss in enumerate(losses[: PAPER.max_epochs], start=1):
        state = state.observe(epoch, loss)
        if state.is_exhausted:
            return epoch
    return min(len(losses), PAPER.max_epochs)


def test_adam_has_the_papers_parameters() -> None:
    """'Alpha (learning rate): 0.001. Beta1: 0.9. Beta2: 0.999. Epsilon: 10^{-7} ... Weight decay = 0.02', IV.D.2."""
    optimizer = make_recipe(PAPER).make_optimizer(build_seeded(make_request()))

    (group,) = optimizer.param_groups
    assert (0.001, (0.9, 0.999), 1e-7, 0.02) == tuple(group[key] for key in ("lr", "betas", "eps", "weight_decay"))


def test_the_rate_is_constant() -> None:
    """'Alpha (learning rate): 0.001', section IV.D.2, and no schedule anywhere in the paper."""
    recipe = make_recipe(PAPER)

    assert {0.001} == {recipe.rate(step, 8440) for step in (0, 1, 843, 844, 8439)}


def test_weight_decay_is_decoupled_and_on_all_weights() -> None:
    """'We use the L2 regularization method with weight decay wd=0.02', section III.B.

    Read as decoupled decay on weights and biases alike: coupled L2 cannot reach the paper's accuracy. In the first step
    Adam moves each weight by lr * g / (|g| + eps), and the decay takes lr * wd of the weight itself.
    """
    net = build_seeded(make_request(SMALL_NET))
    before = [parameter.detach().double().clone() for parameter in net.parameters()]
    images, labels = (torch.from_numpy(array) for array in make_images(12, seed=1))
    recipe = make_recipe(PAPER)
    learner = Learner(model=net, optimizer=recipe.make_optimizer(net), precision=Precision.FP32)

    plan = EpochPlan(order_N=torch.arange(12), batch_size=64, rate=lambda step: recipe.rate(step, 1))
    train_epoch(learner, images, labels, plan)

    for old, parameter in zip(before, net.parameters(), strict=True):
        assert parameter.grad is not None
        gradient = parameter.grad.double()
        expected = old * (1 - 0.001 * 0.02) - 0.001 * gradient / (gradient.abs() + 1e-7)
        torch.testing.assert_close(expected, parameter.detach().double(), rtol=0, atol=1e-6)


def test_early_stopping_takes_a_constant_loss_for_no_improvement() -> None:
    """'stop the model training when the loss function remains constant or increases', section IV.D.2.

    "The patience parameter is set to 2": two such epochs in a row. "Constant" is exact: any lower loss goes on.
    """
    assert 3 == _epochs_trained([0.5, 0.5, 0.5, 0.1])
    assert 3 == _epochs_trained([0.5, 0.6, 0.7, 0.1])
    assert 4 == _epochs_trained([0.5, 0.4999, 0.4998, 0.4997])


def test_six_epochs_instead_of_ten() -> None:
    """'the number of epochs is 6 instead of 10, which means that the training was stopped early', section IV.D.2.

    The loss that counts is that of the validation part; the paper does not say which.
    """
    assert 6 == _epochs_trained([0.10, 0.08, 0.07, 0.06, 0.06, 0.065, 0.05, 0.04, 0.03, 0.02])


def test_ten_epochs_at_most() -> None:
    """'the max epoch number is 10', section IV.D.2."""
    assert 10 == _epochs_trained([1 / epoch for epoch in range(1, 21)])
    assert 10 == PAPER.max_epochs


def test_a_childs_accuracy_is_that_of_its_lowest_loss() -> None:
    """'we need to calculate the loss and accuracy of every generated model', section III.B.

    That leaves open of which epoch. Ruled: that with the lowest validation loss, whose weights are kept.
    """
    epochs, outcome = run_fit(make_request(learning_rate=0.3, max_epochs=10, patience=10), make_data())

    best = min(epochs, key=lambda result: (result.validation.loss, result.epoch))
    assert best.epoch != epochs[-1].epoch
    assert isinstance(outcome, Trained)
    assert (best.epoch, best.validation) == (outcome.best_epoch, outcome.evaluation)


def test_images_are_divided_by_255_and_not_standardised() -> None:
    """The paper names no preprocessing; black is 0 and white is 1."""
    net = build_seeded(make_request(LINEAR_NET))
    weight, bias = net.parameters()
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)

    black_logits = compute_logits(net, torch.zeros_like(white), Precision.FP32)
    white_logits = compute_logits(net, white, Precision.FP32)

    torch.testing.assert_close(bias[None], black_logits)
    torch.testing.assert_close((weight.sum(dim=1) + bias)[None], white_logits)


def test_initial_weights_are_pytorchs_default() -> None:
    """The paper names no initialisation; PyTorch's is uniform within 1/sqrt(fan in). Deviation: Keras has Glorot's."""
    parameters = dict(build_seeded(make_request(SMALL_NET)).named_parameters())

    convolution, linear = parameters["layers.1.weight"], parameters["layers.6.weight"]
    assert 0.8 / math.sqrt(9) < convolution.abs().max() <= 1 / math.sqrt(9)
    bound = 1 / math.sqrt(linear.shape[1])
    assert 0.95 * bound < linear.abs().max() <= bound


def test_images_are_reshuffled_every_epoch() -> None:
    """The paper does not say; every framework's default loop does it."""
    orders = [draw_order(1, ChildId(1, 1), epoch, 64).tolist() for epoch in range(1, 11)]

    assert 10 == len({tuple(order) for order in orders})


def test_batches_have_64_images() -> None:
    """'MNIST dataset is used with a batch size of 64', section IV.D.2."""
    assert 64 == PAPER.batch_size
