# SPDX-License-Identifier: Apache-2.0
"""When a search stops: what holds first, what is compared with what, and what is then evaluated."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from search_driver import Driver, Fails, Faults, ids, make_config, make_result, scripted

from nas.child import ChildId, EpochResult, Evaluation
from nas.config import SearchConfig, SelectionMetric
from nas.search import commands, events
from nas.search.evolve import evolve
from nas.search.machine import Work, pending_work
from nas.search.reasons import AttemptKind, FailureReason, SearchFailure, StopReason
from nas.search.state import Child, SearchState
from nas.selection import Role

DIVERGED = Fails(FailureReason.DIVERGED)


def _diverged(*child_ids: str) -> Faults:
    return {(child_id, 1): DIVERGED for child_id in child_ids}


ITERATION_1 = tuple(f"1-{y}" for y in range(1, 5))
ITERATION_2 = tuple(f"2-{y}" for y in range(1, 9))

CASES: dict[str, tuple[dict[str, Any], dict[str, int], Faults, StopReason, int]] = {
    "declined": ({"max_iterations": 9}, {"1": 80, "2": 79}, {}, StopReason.ACCURACY_DECLINED, 2),
    "declined by one image": (
        {"max_iterations": 9},
        {"1": 80, "2-5": 79, "2": 10},
        {},
        StopReason.ACCURACY_DECLINED,
        2,
    ),
    "declined later": ({"max_iterations": 9}, {"1": 80, "2": 85, "3": 84}, {}, StopReason.ACCURACY_DECLINED, 3),
    "equal goes on": ({"max_iterations": 4}, {}, {}, StopReason.MAX_ITERATIONS, 4),
    "rising to the cap": ({"max_iterations": 3}, {"1": 1, "2": 2, "3": 3}, {}, StopReason.MAX_ITERATIONS, 3),
    "no iteration": ({"max_iterations": 0}, {}, {}, StopReason.MAX_ITERATIONS, 0),
    "one iteration": ({"max_iterations": 1}, {}, {}, StopReason.MAX_ITERATIONS, 1),
    "declined before the cap": ({"max_iterations": 2}, {"1": 80, "2": 79}, {}, StopReason.ACCURACY_DECLINED, 2),
    "too many failed": ({"max_failed_children": 2}, {}, _diverged("1-1", "1-2"), StopReason.MAX_FAILED_CHILDREN, 1),
    "failures add up": (
        {"max_failed_children": 3, "max_iterations": 9},
        {},
        _diverged("1-1", "2-1", "2-2"),
        StopReason.MAX_FAILED_CHILDREN,
        2,
    ),
    "iterations before failures": (
        {"max_failed_children": 2, "max_iterations": 1},
        {},
        _diverged("1-1", "1-2"),
        StopReason.MAX_ITERATIONS,
        1,
    ),
    "declined before failures": (
        {"max_failed_children": 1, "max_iterations": 9},
        {"1": 80, "2": 79},
        _diverged("2-1"),
        StopReason.ACCURACY_DECLINED,
        2,
    ),
    "nothing left": ({}, {}, _diverged(*ITERATION_2), StopReason.NO_VALID_CHILDREN, 2),
    "nothing left before failures": (
        {"max_failed_children": 8},
        {},
        _diverged(*ITERATION_2),
        StopReason.NO_VALID_CHILDREN,
        2,
    ),
    "one left is enough": ({"max_iterations": 2}, {}, _diverged(*ITERATION_2[1:]), StopReason.MAX_ITERATIONS, 2),
}


@pytest.mark.parametrize(("settings", "correct", "faults", "reason", "iteration"), CASES.values(), ids=CASES.keys())
def test_what_stops_a_search(
    settings: dict[str, Any], correct: dict[str, int], faults: Faults, reason: StopReason, iteration: int
) -> None:
    """The first that holds of: no finite child, accuracy declined, iterations, failed children."""
    driver = Driver(make_config(**settings), scripted(correct), faults)

    driver.run()

    (stopped,) = driver.of(events.StoppingCriterionMet)
    (ended,) = driver.of(events.SearchSucceeded)
    assert (reason, iteration) == (stopped.reason, stopped.iteration) == (driver.search.stop, driver.search.iteration)
    assert reason is ended.reason
    assert SearchState.SUCCEEDED is driver.search.state


def test_no_child_at_all_is_a_failure() -> None:
    """Without an incumbent there is nothing to evaluate: FAILED, and the reason says in which iteration."""
    driver = Driver(faults=_diverged(*ITERATION_1))

    driver.run()

    assert [events.StoppingCriterionMet, events.SearchFailed] == [type(fact) for fact in driver.facts[-2:]]
    assert SearchState.FAILED is driver.search.state
    assert SearchFailure.NO_VALID_CHILDREN is driver.search.failure
    assert (
        "no child was trained successfully by the end of iteration 1 (no_valid_children)"
        == driver.search.failure_detail
    )
    assert [] == driver.of(events.ChildrenSelected)


def test_without_iterations_the_initial_model_alone_is_trained() -> None:
    """Nothing is derived; it is trained, chosen and evaluated on the test part, and a failure leaves nothing."""
    driver, failing = (Driver(make_config(max_iterations=0), faults=faults) for faults in ({}, _diverged("0-1")))

    driver.run()
    failing.run()

    assert ["0-1"] == [str(event.child_id) for event in driver.of(events.ChildProposed)]
    assert [] == driver.of(events.IterationStarted)
    (evaluated,) = driver.of(events.WinnerEvaluated)
    assert ("0-1", ()) == (str(evaluated.child_id), evaluated.others)
    assert SearchFailure.NO_VALID_CHILDREN is failing.search.failure


def test_an_iteration_is_over_with_its_last_child() -> None:
    """Nothing is selected while a child is waiting or running, failed ones are not waited for."""
    driver = Driver(faults=_diverged("1-2"))
    for child_id in ITERATION_1[:3]:
        driver.attempt(child_id)
        assert [] == driver.of(events.ChildrenSelected)

    facts = driver.attempt("1-4")

    assert [events.ChildSucceeded, events.ChildrenSelected, events.IterationStarted] == [type(f) for f in facts[:3]]


def test_selected_are_children_of_this_iteration_only() -> None:
    """Parents never compete: the better ones of iteration 1 are no choice in iteration 2, which goes on as an equal."""
    driver = Driver(make_config(max_iterations=3), scripted({"1-1": 90, "1": 50, "2-7": 90, "2": 20, "3": 90}))

    driver.run()

    first, second, third = driver.of(events.ChildrenSelected)
    assert [(Role.BEST, ChildId(1, 1))] == [(choice.role, choice.child_id) for choice in first.choices[:1]]
    assert {2} == {choice.child_id.iteration for choice in second.choices}
    assert ChildId(2, 7) == second.choices[0].child_id
    assert [None, 0.9, 0.9] == [first.previous_best, second.previous_best, third.previous_best]


def test_the_incumbent_is_the_best_of_the_whole_search() -> None:
    """It stays when an iteration is worse, and it is what the search returns."""
    driver = Driver(make_config(max_iterations=9), scripted({"1-3": 95, "2": 70}))

    driver.run()

    first, second = driver.of(events.ChildrenSelected)
    assert ChildId(1, 3) == first.incumbent == second.incumbent
    assert ChildId(1, 3) == driver.facts[-1].winner  # type: ignore[union-attr]


def test_a_number_that_cannot_be_compared_is_never_the_best() -> None:
    """Such a result is refused today; a journal that holds one still replays, and the child is no incumbent."""
    driver = Driver()
    driver.launch("1-1")
    fact = events.ChildSucceeded(
        child_id=ChildId(1, 1),
        attempt=1,
        epochs=1,
        best_epoch=1,
        is_stopped_early=False,
        evaluation=Evaluation(loss=math.nan, correct=(50, 50), total=(50, 50)),
        weights_sha256="",
    )

    assert evolve(driver.search, fact).incumbent is None


def test_of_equals_the_incumbent_has_fewer_parameters() -> None:
    """With the same accuracy everywhere the smallest child of the search wins, whatever its iteration."""
    driver = Driver(make_config(max_iterations=3), scripted({}))

    driver.run()

    trained = [child for child in driver.search.children.values() if child.evaluation is not None]
    assert driver.search.incumbent == min(trained, key=lambda child: (child.param_count, child.child_id))


@pytest.mark.parametrize(
    ("metric", "best"),
    [(None, "1-1"), (SelectionMetric.ACCURACY, "1-1"), (SelectionMetric.BALANCED_ACCURACY, "1-2")],
)
def test_the_metric_of_the_selection(metric: SelectionMetric | None, best: str) -> None:
    """A child that knows one class only is best by accuracy, which is the paper's, and not by balanced accuracy."""

    def measure(_: SearchConfig, child: Child, epoch: int) -> EpochResult:
        correct = {"1-1": (90, 0), "1-2": (70, 10)}.get(str(child.child_id), (0, 0))
        return replace(make_result(epoch), validation=Evaluation(loss=1 / epoch, correct=correct, total=(90, 10)))

    driver = Driver(make_config(selection_metric=metric, max_iterations=1), measure)

    driver.run()

    (selected,) = driver.of(events.ChildrenSelected)
    assert best == str(selected.choices[0].child_id) == str(selected.incumbent)
    assert best == str(driver.of(events.SearchSucceeded)[0].winner)


def test_the_winner_is_evaluated_before_the_end() -> None:
    """After the stop the only work is the incumbent's test evaluation; its result comes before the terminal fact."""
    driver = Driver(measure=scripted({"1-3": 95, "2": 95, "2-8": 96}))
    driver.run(until_stop=True)

    work = pending_work(driver.search)
    facts = driver.attempt("2-8")

    assert (Work(child_id=ChildId(2, 8), kind=AttemptKind.TEST_EVALUATION, attempt=None),) == work
    assert [events.WinnerEvaluated, events.SearchSucceeded] == [type(fact) for fact in facts]
    assert ["2-8"] == ids(driver.of(events.WinnerEvaluated))
    assert 1 == sum(fact.kind is AttemptKind.TEST_EVALUATION for fact in driver.of(events.AttemptLaunched))


def test_the_test_part_does_not_change_the_winner() -> None:
    """A winner that is bad on the test part is still the winner; its validation result stays what it was."""
    driver = Driver(measure=scripted({"1-3": 95}), config=make_config(max_iterations=1))

    driver.run()

    assert driver.search.evaluation is not None
    assert driver.search.evaluation.result is not None
    assert (40, 95) == (
        sum(driver.search.evaluation.result.evaluation.correct),
        sum(driver.children["1-3"].evaluation.correct),  # type: ignore[union-attr]
    )
    assert ChildId(1, 3) == driver.facts[-1].winner  # type: ignore[union-attr]


def test_nothing_follows_the_end() -> None:
    """A search that has ended ignores what workers say and has no work."""
    driver = Driver(make_config(max_iterations=1))
    driver.run()
    reports = [
        command for command, _ in driver.log if isinstance(command, commands.ReportEpoch | commands.ReportTrained)
    ]

    facts = [driver.send(report) for report in reports]

    assert [()] * 12 == facts
    assert () == pending_work(driver.search)
