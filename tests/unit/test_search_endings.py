# SPDX-License-Identifier: Apache-2.0
"""The ends that come from outside: cancellation in every state, and the time budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from search_driver import Driver, Fails, Loses, ids, make_config, make_evaluation, make_lost, scripted

from nas.child import ChildId
from nas.search import commands, events
from nas.search.control import RejectedError
from nas.search.machine import pending_work, running_attempts
from nas.search.reasons import FailureReason, LostReason, SearchFailure, StopReason
from nas.search.state import ChildState, EvaluationState, SearchState

CANCEL = commands.CancelSearch(principal="ada")
BUDGET = commands.ReachTimeBudget()
DIVERGED = Fails(FailureReason.DIVERGED)


def _kinds(facts: tuple[events.Event, ...]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def _in_iteration_2() -> Driver:
    """2-1 has succeeded and is the best so far, 2-2 runs, the others wait."""
    driver = Driver(measure=scripted({"2-1": 99}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.launch("2-2")
    return driver


def _before_evaluation() -> Driver:
    driver = Driver(make_config(max_iterations=1), scripted({"1-2": 90}))
    driver.run(until_stop=True)
    return driver


def _evaluating() -> Driver:
    driver = _before_evaluation()
    driver.launch("1-2")
    return driver


def _last_word(driver: Driver, word: str) -> tuple[events.Event, ...]:
    """The only running attempt ends, in each way that there is."""
    (work,) = running_attempts(driver.search)
    whose: Any = {"child_id": work.child_id, "attempt": work.attempt}
    if word == "lost":
        return driver.send(make_lost(work, LostReason.CANCELLED))
    if word == "failed":
        return driver.send(commands.ReportFailed(**whose, reason=FailureReason.REJECTED, detail="the data changed"))
    if word == "evaluated":
        return driver.send(commands.ReportEvaluated(**whose, evaluation=make_evaluation(80)))
    facts: tuple[events.Event, ...] = ()
    for report in driver.reports(work):
        facts = driver.send(report)
    return facts


def test_cancelling_with_nothing_running() -> None:
    """It ends at once: the waiting children are cancelled, and there is no incumbent."""
    driver = Driver()

    facts = driver.send(CANCEL)

    assert events.CancelRequested(principal="ada") == facts[0]
    assert ["CancelRequested", *["ChildCancelled"] * 4, "SearchCancelled"] == _kinds(facts)
    assert ["1-1", "1-2", "1-3", "1-4"] == ids(driver.of(events.ChildCancelled))
    assert events.SearchCancelled(incumbent=None) == facts[-1]


def test_cancelling_waits_for_what_runs() -> None:
    """CANCELLING: waiting children are cancelled, nothing is pending, the running attempt goes on to its end."""
    driver = _in_iteration_2()

    facts = driver.send(CANCEL)

    assert ["CancelRequested", *["ChildCancelled"] * 6] == _kinds(facts)
    assert SearchState.CANCELLING is driver.search.state
    assert () == pending_work(driver.search)
    assert ["2-2"] == [str(work.child_id) for work in running_attempts(driver.search)]


@pytest.mark.parametrize(
    ("word", "expected", "state"),
    [
        ("lost", ["AttemptLost", "ChildCancelled", "SearchCancelled"], ChildState.CANCELLED),
        ("failed", ["ChildFailed", "SearchCancelled"], ChildState.FAILED),
        ("trained", ["ChildSucceeded", "SearchCancelled"], ChildState.SUCCEEDED),
    ],
)
def test_the_end_of_a_cancelled_search(word: str, expected: list[str], state: ChildState) -> None:
    """Whatever the last attempt says is kept, and the best child so far remains; nothing is selected or evaluated."""
    driver = _in_iteration_2()
    driver.send(CANCEL)

    facts = _last_word(driver, word)

    assert expected == _kinds(facts)
    assert events.SearchCancelled(incumbent=ChildId(2, 1)) == facts[-1]
    assert (SearchState.CANCELLED, state) == (driver.search.state, driver.children["2-2"].state)
    assert (None, 1) == (driver.search.evaluation, len(driver.search.selections))


def test_a_child_that_succeeds_while_cancelling_may_be_the_incumbent() -> None:
    """Its training was not in vain."""
    driver = Driver(measure=scripted({"1-3": 90}))
    driver.launch("1-3")
    driver.send(CANCEL)

    facts = _last_word(driver, "trained")

    assert events.SearchCancelled(incumbent=ChildId(1, 3)) == facts[-1]


def test_a_loss_while_cancelling_is_no_failure() -> None:
    """The last attempt allowed is lost to the cancellation, so the child is cancelled and has not failed."""
    driver = Driver(make_config(max_attempts=1))
    driver.launch("1-1")
    driver.send(CANCEL)

    driver.lose(LostReason.OUT_OF_MEMORY)

    assert ChildState.CANCELLED is driver.children["1-1"].state


def test_cancelling_before_the_test_evaluation() -> None:
    """It ends at once with the incumbent, which is not evaluated."""
    driver = _before_evaluation()

    facts = driver.send(CANCEL)

    assert (events.CancelRequested(principal="ada"), events.SearchCancelled(incumbent=ChildId(1, 2))) == facts


@pytest.mark.parametrize(
    ("word", "expected", "state"),
    [
        ("lost", ["AttemptLost", "SearchCancelled"], EvaluationState.DUE),
        ("failed", ["AttemptLost", "SearchCancelled"], EvaluationState.DUE),
        ("evaluated", ["WinnerEvaluated", "SearchCancelled"], EvaluationState.DONE),
    ],
)
def test_cancelling_during_the_test_evaluation(word: str, expected: list[str], state: EvaluationState) -> None:
    """It ends as CANCELLED, even if the evaluation succeeds or fails in the meantime."""
    driver = _evaluating()
    first = driver.send(CANCEL)

    facts = _last_word(driver, word)

    assert ["CancelRequested"] == _kinds(first)
    assert expected == _kinds(facts)
    assert SearchState.CANCELLED is driver.search.state
    assert driver.search.evaluation is not None
    assert state is driver.search.evaluation.state


def test_cancelling_when_the_time_is_up() -> None:
    """A search that waits for its last attempts because of the budget can still be cancelled."""
    driver = _in_iteration_2()
    driver.send(BUDGET)
    driver.send(CANCEL)

    facts = _last_word(driver, "lost")

    assert ["AttemptLost", "ChildCancelled", "SearchCancelled"] == _kinds(facts)
    assert driver.search.stop is None


@pytest.mark.parametrize("is_over", [False, True])
def test_cancelling_twice_is_cancelling_once(is_over: bool) -> None:
    """The second request changes nothing, before and after the end."""
    driver = _in_iteration_2()
    driver.send(CANCEL)
    if is_over:
        _last_word(driver, "lost")

    assert () == driver.send(commands.CancelSearch(principal="somebody else"))


@pytest.mark.parametrize(("initial", "state"), [("", "succeeded"), ("F() FC(2)", "failed")])
def test_what_has_ended_cannot_be_cancelled(initial: str, state: str) -> None:
    """The refusal says how it ended, and nothing changes."""
    driver = Driver(make_config(initial=initial, max_iterations=1))
    driver.run()
    before = driver.search

    with pytest.raises(RejectedError, match=f"the search has {state} already"):
        driver.send(CANCEL)

    assert before is driver.search


def test_the_time_budget_with_nothing_running() -> None:
    """Waiting children are cancelled, the partial iteration is not selected, its best child is evaluated."""
    driver = Driver(measure=scripted({"2-1": 99}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")

    facts = driver.send(BUDGET)

    assert ["TimeBudgetReached", *["ChildCancelled"] * 7, "StoppingCriterionMet"] == _kinds(facts)
    assert events.StoppingCriterionMet(reason=StopReason.TIME_BUDGET, iteration=2) == facts[-1]
    assert 1 == len(driver.search.selections)
    assert ["2-1"] == [str(work.child_id) for work in pending_work(driver.search)]


def test_the_time_budget_cancels_what_runs() -> None:
    """Nothing is pending, so the running attempt is to be cancelled; the search stops once it has ended."""
    driver = _in_iteration_2()

    facts = driver.send(BUDGET)

    assert ["TimeBudgetReached", *["ChildCancelled"] * 6] == _kinds(facts)
    assert (SearchState.RUNNING, None) == (driver.search.state, driver.search.stop)
    assert () == pending_work(driver.search)
    assert ["2-2"] == [str(work.child_id) for work in running_attempts(driver.search)]


@pytest.mark.parametrize(
    ("word", "expected", "state"),
    [
        ("lost", ["AttemptLost", "ChildCancelled", "StoppingCriterionMet"], ChildState.CANCELLED),
        ("failed", ["ChildFailed", "StoppingCriterionMet"], ChildState.FAILED),
        ("trained", ["ChildSucceeded", "StoppingCriterionMet"], ChildState.SUCCEEDED),
    ],
)
def test_the_end_of_a_search_out_of_time(word: str, expected: list[str], state: ChildState) -> None:
    """What the last attempt says counts; then the winner is evaluated, budget or not, and the search has succeeded."""
    driver = _in_iteration_2()
    driver.send(BUDGET)

    facts = _last_word(driver, word)
    driver.run()

    assert expected == _kinds(facts)
    assert state is driver.children["2-2"].state
    assert events.SearchSucceeded(reason=StopReason.TIME_BUDGET, winner=ChildId(2, 1)) == driver.facts[-1]


def test_an_iteration_that_is_complete_too_late_is_not_selected() -> None:
    """The last child succeeds after the budget: it may be the winner, but its iteration is no comparison any more."""
    driver = Driver(measure=scripted({"1-4": 90}))
    for child_id in ("1-1", "1-2", "1-3"):
        driver.attempt(child_id)
    driver.launch("1-4")
    driver.send(BUDGET)

    _last_word(driver, "trained")
    driver.run()

    assert () == driver.search.selections
    assert events.SearchSucceeded(reason=StopReason.TIME_BUDGET, winner=ChildId(1, 4)) == driver.facts[-1]


def test_the_time_budget_does_not_know_a_decline() -> None:
    """A partial iteration that is worse than the one before is no decline."""
    driver = Driver(measure=scripted({"1": 90, "2": 10}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")

    driver.send(BUDGET)

    assert StopReason.TIME_BUDGET is driver.search.stop


def test_out_of_time_without_a_child_is_a_failure() -> None:
    """There is nothing to return, and the sentence says why."""
    driver = Driver()

    driver.send(BUDGET)

    assert (SearchState.FAILED, SearchFailure.NO_VALID_CHILDREN) == (driver.search.state, driver.search.failure)
    assert "no child was trained successfully by the end of iteration 1 (time_budget)" == driver.search.failure_detail


def test_a_loss_out_of_time_is_no_failure() -> None:
    """A child that is killed for the budget is cancelled, however often it was lost before."""
    driver = Driver(make_config(max_attempts=2), faults={("1-1", 1): Loses(LostReason.WORKER_EXITED)})
    driver.attempt("1-1")
    driver.launch("1-1")
    driver.send(BUDGET)

    driver.lose(LostReason.WORKER_SIGNALLED)

    assert ChildState.CANCELLED is driver.children["1-1"].state


def _cancelling() -> Driver:
    driver = _in_iteration_2()
    driver.send(CANCEL)
    return driver


def _out_of_time() -> Driver:
    driver = _in_iteration_2()
    driver.send(BUDGET)
    return driver


def _succeeded() -> Driver:
    driver = Driver(make_config(max_iterations=1))
    driver.run()
    return driver


@pytest.mark.parametrize("make", [_cancelling, _out_of_time, _before_evaluation, _evaluating, _succeeded])
def test_the_time_budget_is_reached_once(make: Callable[[], Driver]) -> None:
    """It means nothing to a search that is ending already: the test evaluation has no budget."""
    driver = make()
    before = driver.search

    assert () == driver.send(BUDGET)
    assert before is driver.search
