# SPDX-License-Identifier: Apache-2.0
"""Simulated measurements: the same everywhere, and such that a search behaves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from search_driver import Driver, make_config

from nas.child import EpochResult
from nas.search import events
from nas.search.reasons import StopReason
from nas.search.simulation import simulate_epoch, simulated_weights


def _simulate(*, search_seed: int = 7, graph_hash: str = "a", iteration: int = 1, epoch: int = 1) -> EpochResult:
    return simulate_epoch(
        search_seed=search_seed, graph_hash=graph_hash, iteration=iteration, epoch=epoch, totals=(1000, 3)
    )


def test_a_pinned_value() -> None:
    """The same on every machine, so that digests can be compared between them."""
    result = _simulate()

    assert "0x1.3a378ab0c88a6p-2" == result.training_loss.hex()
    assert (693, 2) == result.validation.correct


def test_what_a_measurement_depends_on() -> None:
    """Seed, net, iteration and epoch each make a difference, and there is no clock in it."""
    results = [
        _simulate(),
        _simulate(search_seed=8),
        _simulate(graph_hash="b"),
        _simulate(iteration=2),
        _simulate(epoch=2),
    ]

    assert 5 == len({result.validation.loss for result in results})
    assert _simulate() == _simulate()
    assert {(0.0, 0.0)} == {(result.seconds, result.images_per_second) for result in results}


@pytest.mark.parametrize("graph_hash", list("abcdefgh"))
def test_losses_fall_with_the_epochs(graph_hash: str) -> None:
    """So that the last epoch is the best and early stopping has nothing to do."""
    results = [_simulate(graph_hash=graph_hash, epoch=epoch) for epoch in range(1, 31)]

    assert all(one.validation.loss > other.validation.loss for one, other in pairwise(results))
    assert all(one.validation.accuracy <= other.validation.accuracy for one, other in pairwise(results))


def test_every_child_is_at_least_as_good_as_those_before() -> None:
    """Whatever the net, so that accuracy never declines and a cap ends the search."""
    nets = [str(number) for number in range(50)]
    accuracies = [
        [_simulate(graph_hash=net, iteration=iteration, epoch=3).validation.accuracy for net in nets]
        for iteration in range(1, 60)
    ]

    assert all(max(one) <= min(other) for one, other in pairwise(accuracies))


def test_a_simulated_search_ends_by_its_cap() -> None:
    """Thirty iterations, each with a selection."""
    driver = Driver(make_config(max_iterations=30))

    driver.run()

    assert StopReason.MAX_ITERATIONS is driver.search.stop
    assert 30 == len(driver.of(events.ChildrenSelected))


def test_weights_are_of_one_net_and_seed() -> None:
    """Enough to be hashed and to be told apart."""
    weights = {simulated_weights(search_seed=seed, graph_hash=net) for seed in (1, 2) for net in "ab"}

    assert 4 == len(weights)
