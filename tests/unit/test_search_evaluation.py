# SPDX-License-Identifier: Apache-2.0
"""The winner's test evaluation: recovered like a child, fenced like a child, and the last thing that happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search_driver import (
    RUNTIME,
    UNCOUNTED,
    Driver,
    Fails,
    Faults,
    Loses,
    make_config,
    make_evaluation,
    make_result,
    scripted,
)

from nas.child import ChildId
from nas.search import commands, events
from nas.search.machine import Work, pending_work, running_attempts
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.search.state import ChildState, EvaluationState, SearchState, WinnerEvaluation
from nas.selection import Role

WINNER = ChildId(1, 2)


def _driver(faults: Faults | None = None, **settings: int) -> Driver:
    """A search of one iteration whose winner 1-2 was trained in one attempt and waits for its evaluation."""
    driver = Driver(make_config(max_iterations=1, **settings), scripted({"1-2": 90}), faults or {})
    driver.run(until_stop=True)
    return driver


def _evaluation(driver: Driver) -> WinnerEvaluation:
    assert driver.search.evaluation is not None
    return driver.search.evaluation


def test_it_is_due_when_the_search_has_stopped() -> None:
    """The incumbent's, under the next number of its attempts."""
    driver = _driver()

    work = driver.launch("1-2")

    assert Work(child_id=WINNER, kind=AttemptKind.TEST_EVALUATION, attempt=2) == work
    assert (work,) == pending_work(driver.search) == running_attempts(driver.search)
    assert EvaluationState.RUNNING is _evaluation(driver).state


def test_the_smallest_child_is_evaluated_in_the_same_reading() -> None:
    """The last SMALLEST is the winner's rival, and its result stands beside the winner's."""
    driver = _driver()
    (smallest,) = [c.child_id for c in driver.of(events.ChildrenSelected)[-1].choices if c.role is Role.SMALLEST]

    assert [smallest] == [child.child_id for child in driver.search.rivals]
    driver.run()

    assert [(WINNER, make_evaluation(40)), (smallest, make_evaluation(30))] == [
        (assessed.child_id, assessed.evaluation) for assessed in driver.search.assessed
    ]


def test_a_smallest_child_that_wins_has_no_rival() -> None:
    """A winner that was selected as the smallest is not evaluated twice."""
    driver = Driver(make_config(max_iterations=1), scripted({"1": 50}))
    driver.run(until_stop=True)
    (best, smallest) = driver.of(events.ChildrenSelected)[-1].choices
    contested = replace(driver.search, evaluation=WinnerEvaluation(child_id=smallest.child_id))

    assert () == contested.rivals
    assert [smallest.child_id] == [child.child_id for child in driver.search.rivals]
    assert best.child_id == _evaluation(driver).child_id


def test_nobody_else_is_launched() -> None:
    """Other children are no work any more."""
    driver = _driver()

    assert () == driver.send(commands.LaunchAttempt(child_id=ChildId(1, 1)))


def test_it_leaves_the_training_as_it_was() -> None:
    """Runtime, epochs and validation result of the child stay; only the attempt numbers go on."""
    driver = _driver()
    before = driver.children["1-2"]

    driver.run()

    after = driver.children["1-2"]
    assert (before.runtime, before.epochs, before.evaluation) == (after.runtime, after.epochs, after.evaluation)
    assert (1, 2) == (before.attempts, after.attempts)
    assert ChildState.SUCCEEDED is after.state


@pytest.mark.parametrize("reason", LostReason)
def test_a_lost_evaluation_is_due_again(reason: LostReason) -> None:
    """It counts or not as it would for a child, but not against the child."""
    driver = _driver({("1-2", 2): Loses(reason)})

    driver.attempt("1-2")

    assert WinnerEvaluation(child_id=WINNER, lost_attempts=int(reason not in UNCOUNTED)) == _evaluation(driver)
    assert 0 == driver.children["1-2"].lost_attempts
    assert (Work(child_id=WINNER, kind=AttemptKind.TEST_EVALUATION, attempt=None),) == pending_work(driver.search)


def test_a_lost_evaluation_is_recovered() -> None:
    """The third attempt's result is the result."""
    driver = _driver({("1-2", n): Loses(LostReason.WORKER_SIGNALLED) for n in (2, 3)})

    driver.run()

    result = _evaluation(driver).result
    assert result is not None
    assert (WINNER, make_evaluation(40)) == (result.child_id, result.evaluation)
    assert events.SearchSucceeded(reason=StopReason.MAX_ITERATIONS, winner=WINNER) == driver.facts[-1]


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_an_evaluation_lost_too_often_fails_the_search(max_attempts: int) -> None:
    """After ``max_attempts`` losses: FAILED, and the winner's weights are still known."""
    driver = _driver({("1-2", n): Loses(LostReason.WORKER_EXITED) for n in range(2, 9)}, max_attempts=max_attempts)

    driver.run()

    assert (SearchState.FAILED, SearchFailure.EVALUATION_FAILED) == (driver.search.state, driver.search.failure)
    assert f"the test evaluation of 1-2 was lost {max_attempts} times" == driver.search.failure_detail
    assert driver.search.incumbent is not None
    assert max_attempts + 1 == driver.children["1-2"].attempts


def test_a_server_that_dies_does_not_fail_the_evaluation() -> None:
    """Restarts are nobody's fault, here too."""
    driver = _driver({("1-2", n): Loses(LostReason.SERVER_RESTARTED) for n in range(2, 50)}, max_attempts=1)

    driver.run()

    assert SearchState.SUCCEEDED is driver.search.state


def test_an_evaluation_that_fails_fails_the_search() -> None:
    """No further attempt would change it; the detail is the worker's."""
    driver = _driver({("1-2", 2): Fails(FailureReason.REJECTED)})

    driver.run()

    assert events.SearchFailed(reason=SearchFailure.EVALUATION_FAILED, detail="failed: rejected") == driver.facts[-1]


@pytest.mark.parametrize(
    "report",
    [
        commands.ReportEpoch(child_id=WINNER, attempt=2, result=make_result(1, correct=90)),
        commands.ReportTrained(
            child_id=WINNER,
            attempt=2,
            epochs=2,
            best_epoch=2,
            is_stopped_early=False,
            evaluation=make_evaluation(99),
            weights_sha256="b" * 64,
        ),
    ],
)
def test_an_evaluation_does_not_train(report: commands.Report) -> None:
    """An epoch or a training's result ends the attempt, even an epoch that is known."""
    driver = _driver()
    driver.launch("1-2")

    (fact,) = driver.send(report)

    assert isinstance(fact, events.AttemptLost)
    assert (LostReason.PROTOCOL_VIOLATED, "a test evaluation reported training") == (fact.reason, fact.detail)


def test_its_reports_are_fenced() -> None:
    """The attempt that trained the winner has nothing to say any more, and a start said twice is one fact."""
    driver = _driver()
    driver.launch("1-2")
    started = commands.ReportStarted(child_id=WINNER, attempt=2, runtime=RUNTIME, resumed_after_epoch=0)
    stale = commands.ReportEvaluated(child_id=WINNER, attempt=1, evaluation=make_evaluation(1))

    assert () == driver.send(stale)
    assert [1, 0] == [len(driver.send(started)), len(driver.send(started))]


def test_the_winner_may_be_of_an_earlier_iteration() -> None:
    """After a decline the best child of the whole search is evaluated, not the last iteration's."""
    driver = Driver(make_config(max_iterations=9), scripted({"1-4": 90, "2": 80}))

    driver.run()

    assert ChildId(1, 4) == _evaluation(driver).child_id
    assert events.SearchSucceeded(reason=StopReason.ACCURACY_DECLINED, winner=ChildId(1, 4)) == driver.facts[-1]
