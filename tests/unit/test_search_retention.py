# SPDX-License-Identifier: Apache-2.0
"""Which files are kept at which moment of a search."""

from __future__ import annotations

from search_driver import Driver, Fails, make_config, scripted

from nas.child import ChildId
from nas.search import commands
from nas.search.reasons import FailureReason, LostReason
from nas.search.retention import retained


def _weights(driver: Driver) -> set[str]:
    return {str(child_id) for child_id in retained(driver.search).weights}


def _checkpoints(driver: Driver) -> set[str]:
    return {str(child_id) for child_id in retained(driver.search).checkpoints} - {"0-1"}


def test_before_a_selection_every_child_is_kept() -> None:
    """Each of them may be selected, and none of those that are still to be trained may lose its checkpoint."""
    driver = Driver(faults={("1-2", 1): Fails(FailureReason.DIVERGED)})
    driver.attempt("1-1")
    driver.attempt("1-2")
    driver.launch("1-3")

    assert {"1-1", "1-2", "1-3", "1-4"} == _weights(driver)
    assert {"1-3", "1-4"} == _checkpoints(driver)


def test_after_a_selection_parents_and_incumbent_are_kept() -> None:
    """The others' weights are dropped; the new children may begin to write theirs."""
    driver = Driver(make_config(max_iterations=9), scripted({"1-3": 95, "2": 95, "2-2": 96, "3": 96}))
    driver.run(until_iteration=2)
    first = _weights(driver)
    driver.run(until_iteration=3)

    parents = {str(child_id) for child_id in driver.search.parents}
    assert {"1-3", *(f"2-{y}" for y in range(1, 9))} < first
    assert {"1-1", "1-2", "1-4"} - first
    assert parents | {"2-2"} | {f"3-{y}" for y in range(1, 9)} == _weights(driver)


def test_the_incumbent_of_an_earlier_iteration_is_kept() -> None:
    """It may be older than the parents."""
    driver = Driver(make_config(max_iterations=9), scripted({"1-3": 95, "2": 95, "3": 95}))

    driver.run(until_iteration=3)

    assert driver.search.incumbent is not None
    assert str(driver.search.incumbent.child_id) in _weights(driver)


def test_a_lost_attempt_keeps_its_checkpoint() -> None:
    """The next attempt continues from it."""
    driver = Driver()
    driver.launch("1-1")

    driver.lose(LostReason.SERVER_RESTARTED)

    assert "1-1" in _checkpoints(driver)


def test_the_winner_is_kept_until_it_is_evaluated_and_after() -> None:
    """Also where the budget ended the search in the middle of an iteration."""
    driver = Driver(measure=scripted({"2-1": 99}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.send(commands.ReachTimeBudget())
    waiting = _weights(driver)
    driver.run()

    selected = {str(choice.child_id) for choice in driver.search.selections[-1].choices}
    assert "2-1" in waiting
    assert selected | {"2-1"} == _weights(driver)
    assert set() == _checkpoints(driver)


def test_a_cancelled_search_keeps_its_incumbent() -> None:
    """And nothing of what was in training."""
    driver = Driver(measure=scripted({"1-2": 99}))
    driver.attempt("1-1")
    driver.attempt("1-2")

    driver.send(commands.CancelSearch())

    assert {"1-2"} == _weights(driver)
    assert frozenset() == retained(driver.search).checkpoints


def test_a_search_without_result_keeps_nothing() -> None:
    """There is nothing to keep."""
    driver = Driver(faults={(f"1-{y}", 1): Fails(FailureReason.DIVERGED) for y in range(1, 5)})

    driver.run()

    assert (frozenset(), frozenset()) == (retained(driver.search).weights, retained(driver.search).checkpoints)
    assert driver.search.children[ChildId(1, 1)].weights_sha256 == ""
