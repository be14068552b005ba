# SPDX-License-Identifier: Apache-2.0
"""What becomes of an attempt: what counts against a child, what is fenced off, what is said twice or wrongly."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from search_cluster import Cluster
from search_driver import (
    RUNTIME,
    UNCOUNTED,
    Driver,
    Loses,
    attempt_reports,
    make_config,
    make_evaluation,
    make_lost,
    make_result,
    scripted,
)

from nas.child import ChildId
from nas.search import commands, events
from nas.search.machine import Work, pending_work, running_attempts
from nas.search.reasons import AttemptKind, FailureReason, LostReason
from nas.search.state import Child, ChildState

CHILD = ChildId(1, 1)
WHOSE: dict[str, Any] = {"child_id": CHILD, "attempt": 1}
STARTED = commands.ReportStarted(**WHOSE, runtime=RUNTIME, resumed_after_epoch=0)
TRAINED = commands.ReportTrained(
    **WHOSE, epochs=2, best_epoch=2, is_stopped_early=False, evaluation=make_evaluation(60), weights_sha256="a" * 64
)
EVALUATED = commands.ReportEvaluated(**WHOSE, evaluation=make_evaluation(60))

COUNTED = [reason for reason in LostReason if reason not in UNCOUNTED]


def _epoch(epoch: int, **result: Any) -> commands.ReportEpoch:
    return commands.ReportEpoch(**WHOSE, result=make_result(epoch, **result))


def _launched(*reports: commands.Report) -> Driver:
    """A search whose first child is in its first attempt and has said this much."""
    driver = Driver()
    driver.launch("1-1")
    for report in reports:
        driver.send(report)
    return driver


def _child(driver: Driver) -> Child:
    return driver.children["1-1"]


def test_a_launch_is_a_fact_before_it_is_an_act() -> None:
    """It numbers the attempt, which then runs and is pending under its number, so that no other is launched."""
    driver = Driver()

    facts = driver.send(commands.LaunchAttempt(child_id=CHILD))

    out = Work(child_id=CHILD, kind=AttemptKind.TRAINING, attempt=1)
    assert (events.AttemptLaunched(child_id=CHILD, attempt=1, kind=AttemptKind.TRAINING),) == facts
    assert (out,) == running_attempts(driver.search)
    assert out == pending_work(driver.search)[0]
    assert () == driver.send(commands.LaunchAttempt(child_id=CHILD))


@pytest.mark.parametrize("child_id", [ChildId(0, 1), ChildId(1, 5), ChildId(2, 1)])
def test_only_children_that_wait_are_launched(child_id: ChildId) -> None:
    """The initial model, an unused id and a child of the future are no work."""
    assert () == Driver().send(commands.LaunchAttempt(child_id=child_id))


def test_a_child_from_launch_to_success() -> None:
    """Runtime, epochs and result are kept as reported."""
    driver = _launched(STARTED, _epoch(1), _epoch(2))

    driver.send(TRAINED)

    child = _child(driver)
    assert ChildState.SUCCEEDED is child.state
    assert (RUNTIME, (make_result(1), make_result(2))) == (child.runtime, child.epochs)
    assert (2, make_evaluation(60), "a" * 64) == (child.best_epoch, child.evaluation, child.weights_sha256)
    assert (1, 0) == (child.attempts, child.lost_attempts)


@pytest.mark.parametrize("reason", COUNTED)
def test_a_lost_attempt_is_followed_by_another(reason: LostReason) -> None:
    """The child waits again, keeps its epochs, and the loss counts."""
    driver = _launched(STARTED, _epoch(1))

    facts = driver.send(make_lost(running_attempts(driver.search)[0], reason))

    assert (events.AttemptLost(**WHOSE, reason=reason, detail=f"lost: {reason.value}"),) == facts
    assert (ChildState.PROPOSED, 1, 1) == (_child(driver).state, _child(driver).attempts, _child(driver).lost_attempts)
    assert (make_result(1),) == _child(driver).epochs
    assert Work(child_id=CHILD, kind=AttemptKind.TRAINING, attempt=2) == driver.launch("1-1")


@pytest.mark.parametrize("reason", [reason for reason in COUNTED if reason is not LostReason.OUT_OF_MEMORY])
@pytest.mark.parametrize("max_attempts", [1, 2, 3])
def test_the_last_attempt_that_may_fail(reason: LostReason, max_attempts: int) -> None:
    """After ``max_attempts`` losses the child has failed, with the detail of the last one; not one attempt earlier."""
    driver = Driver(make_config(max_attempts=max_attempts), faults={("1-1", n): Loses(reason) for n in range(1, 9)})
    for _ in range(max_attempts - 1):
        driver.attempt("1-1")
        assert ChildState.PROPOSED is _child(driver).state

    facts = driver.attempt("1-1")

    assert [events.AttemptLost, events.ChildFailed] == [type(fact) for fact in facts]
    assert (ChildState.FAILED, FailureReason.ATTEMPTS_EXHAUSTED) == (_child(driver).state, _child(driver).failure)
    assert f"lost: {reason.value}" == _child(driver).failure_detail
    assert max_attempts == _child(driver).attempts


@pytest.mark.parametrize("reason", UNCOUNTED)
def test_blameless_losses_do_not_count(reason: LostReason) -> None:
    """A server that dies a hundred times under one child costs it nothing."""
    driver = Driver(make_config(max_attempts=1))

    for _ in range(100):
        driver.launch("1-1")
        driver.lose(reason)

    assert (ChildState.PROPOSED, 100, 0) == (
        _child(driver).state,
        _child(driver).attempts,
        _child(driver).lost_attempts,
    )


@pytest.mark.parametrize(
    ("losses", "max_attempts", "failure"),
    [
        (["out_of_memory"], 3, None),
        (["out_of_memory"] * 2, 3, FailureReason.INFEASIBLE),
        (["out_of_memory"] * 2, 2, FailureReason.INFEASIBLE),
        (["out_of_memory"], 1, FailureReason.ATTEMPTS_EXHAUSTED),
        (["out_of_memory", "worker_signalled", "out_of_memory"], 9, FailureReason.INFEASIBLE),
        (["out_of_memory", "server_restarted", "out_of_memory"], 3, FailureReason.INFEASIBLE),
        (["out_of_memory", "worker_exited"], 2, FailureReason.ATTEMPTS_EXHAUSTED),
        (["server_restarted"] * 5 + ["timed_out"], 2, None),
    ],
)
def test_out_of_memory_twice_is_infeasible(losses: list[str], max_attempts: int, failure: FailureReason | None) -> None:
    """Once may be the neighbour's fault; twice with the same configuration is the child's, and trying on is no use."""
    faults = {("1-1", number): Loses(LostReason(reason)) for number, reason in enumerate(losses, start=1)}
    driver = Driver(make_config(max_attempts=max_attempts), faults=faults)

    for _ in losses:
        driver.attempt("1-1")

    assert failure is _child(driver).failure
    assert (ChildState.PROPOSED if failure is None else ChildState.FAILED) is _child(driver).state


@pytest.mark.parametrize("reason", FailureReason)
def test_a_failure_is_final(reason: FailureReason) -> None:
    """No further attempt would change it, so there is none; the other children go on."""
    driver = _launched(STARTED)

    facts = driver.send(commands.ReportFailed(**WHOSE, reason=reason, detail="why"))

    assert (events.ChildFailed(**WHOSE, reason=reason, detail="why"),) == facts
    assert (ChildState.FAILED, reason, "why") == (
        _child(driver).state,
        _child(driver).failure,
        _child(driver).failure_detail,
    )
    assert [ChildId(1, 2), ChildId(1, 3), ChildId(1, 4)] == [work.child_id for work in pending_work(driver.search)]


STALE: list[commands.Report] = [STARTED, _epoch(1), TRAINED, EVALUATED]
STALE += [commands.ReportFailed(**WHOSE, reason=FailureReason.DIVERGED, detail="nan")]
STALE += [commands.ReportLost(**WHOSE, reason=LostReason.WORKER_EXITED, detail="")]


@pytest.mark.parametrize("report", STALE, ids=lambda report: type(report).__name__)
@pytest.mark.parametrize("attempt", [0, 1, 3, -1])
def test_reports_of_other_attempts_are_fenced_off(report: commands.Report, attempt: int) -> None:
    """With attempt 2 out, what attempt 1 or one that never was has to say is no fact."""
    driver = _launched(STARTED)
    driver.lose(LostReason.TIMED_OUT)
    driver.launch("1-1")
    before = driver.search

    facts = driver.send(replace(report, attempt=attempt))

    assert () == facts
    assert before is driver.search


@pytest.mark.parametrize("report", STALE, ids=lambda report: type(report).__name__)
@pytest.mark.parametrize("child_id", [ChildId(0, 1), ChildId(1, 2), ChildId(7, 1)])
def test_reports_about_others_are_fenced_off(report: commands.Report, child_id: ChildId) -> None:
    """The initial model, a child that is not running and one that does not exist have no attempt."""
    driver = _launched()

    assert () == driver.send(replace(report, child_id=child_id))


def test_after_its_outcome_an_attempt_is_fenced_off() -> None:
    """An attempt has one outcome: the loss reported after the success is none, and neither is the success again."""
    driver = _launched(STARTED, _epoch(1), _epoch(2), TRAINED)

    late = [driver.send(report) for report in (*STALE, TRAINED)]

    assert [()] * 7 == late
    assert ChildState.SUCCEEDED is _child(driver).state


def test_what_is_said_twice_is_one_fact() -> None:
    """A start or an epoch that comes again changes nothing, even when later epochs are known."""
    driver = _launched(STARTED, _epoch(1), _epoch(2))

    again = [driver.send(report) for report in (STARTED, _epoch(1), _epoch(2))]

    assert [(), (), ()] == again
    assert (make_result(1), make_result(2)) == _child(driver).epochs


def test_each_attempt_has_its_start() -> None:
    """The second attempt's start is not taken for the first one's, though it says the same."""
    driver = _launched(STARTED)
    driver.lose(LostReason.SERVER_RESTARTED)
    driver.launch("1-1")

    facts = driver.send(replace(STARTED, attempt=2))

    assert [2] == [fact.attempt for fact in facts if isinstance(fact, events.AttemptStarted)]


def test_the_last_report_of_an_epoch_counts() -> None:
    """An attempt that goes back to an older checkpoint repeats epochs; the later ones are forgotten till then."""
    driver = _launched(STARTED, _epoch(1), _epoch(2))
    driver.lose(LostReason.WORKER_SIGNALLED)
    driver.launch("1-1")

    driver.send(commands.ReportEpoch(child_id=CHILD, attempt=2, result=make_result(1, correct=61)))

    assert (make_result(1, correct=61),) == _child(driver).epochs


def test_an_attempt_continues_where_the_last_one_was() -> None:
    """Its epochs follow those of the attempt before; together they are the child's."""
    driver = _launched(STARTED, _epoch(1))
    driver.lose(LostReason.SERVER_RESTARTED)

    for report in attempt_reports(driver.search, driver.launch("1-1"), scripted({})):
        driver.send(report)

    assert [(1, 1), (2, 2)] == [(fact.attempt, fact.result.epoch) for fact in driver.of(events.EpochCompleted)]
    assert (ChildState.SUCCEEDED, 2) == (_child(driver).state, len(_child(driver).epochs))


@pytest.mark.parametrize(
    ("said", "wrong", "problem"),
    [
        ((), _epoch(2), "epoch 2 was reported after epoch 0 of at most 2"),
        ((), _epoch(0), "epoch 0 was reported after epoch 0 of at most 2"),
        ((), _epoch(-1), "epoch -1 was reported after epoch 0 of at most 2"),
        ((_epoch(1), _epoch(2)), _epoch(3), "epoch 3 was reported after epoch 2 of at most 2"),
        ((_epoch(1),), TRAINED, "2 epochs with best epoch 2 were reported after epoch 1"),
        ((), replace(TRAINED, epochs=0, best_epoch=0), "0 epochs with best epoch 0 were reported after epoch 0"),
        ((_epoch(1),), replace(TRAINED, epochs=1), "1 epochs with best epoch 2 were reported after epoch 1"),
        (
            (_epoch(1),),
            replace(TRAINED, epochs=1, best_epoch=0),
            "1 epochs with best epoch 0 were reported after epoch 1",
        ),
        ((_epoch(1),), replace(TRAINED, best_epoch=1), "2 epochs with best epoch 1 were reported after epoch 1"),
        ((), EVALUATED, "a training reported a test evaluation"),
    ],
)
def test_what_no_worker_says_ends_the_attempt(
    said: tuple[commands.Report, ...], wrong: commands.Report, problem: str
) -> None:
    """The attempt is lost, the loss counts, and the detail says what was wrong."""
    driver = _launched(STARTED, *said)

    facts = driver.send(wrong)

    assert (events.AttemptLost(**WHOSE, reason=LostReason.PROTOCOL_VIOLATED, detail=problem),) == facts
    assert (ChildState.PROPOSED, 1) == (_child(driver).state, _child(driver).lost_attempts)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("which", "problem"),
    [("loss", "the validation loss of epoch 2"), ("training_loss", "the training loss of epoch 2")],
)
def test_a_loss_that_is_no_number_fails_the_child_in_its_epoch(number: float, which: str, problem: str) -> None:
    """It is flagged when it is reported, and no such number enters the state."""
    driver = _launched(STARTED, _epoch(1))

    facts = driver.send(_epoch(2, **{which: number}))

    assert (events.ChildFailed(**WHOSE, reason=FailureReason.DIVERGED, detail=f"{problem} is {number}"),) == facts
    assert (make_result(1),) == _child(driver).epochs


def test_a_result_that_is_no_number_fails_the_child() -> None:
    """A training cannot succeed with it either."""
    driver = _launched(STARTED, _epoch(1), _epoch(2))

    (fact,) = driver.send(replace(TRAINED, evaluation=make_evaluation(99, loss=math.nan)))

    assert isinstance(fact, events.ChildFailed)
    assert (FailureReason.DIVERGED, "the validation loss of epoch 2 is nan") == (fact.reason, fact.detail)


def test_several_children_run_side_by_side() -> None:
    """Each attempt is fenced by its own child and number; the facts come in the order of the reports."""
    cluster = Cluster(Driver(make_config(max_iterations=1)), slots=3)
    alone = Driver(make_config(max_iterations=1)).run()

    for index in itertools.takewhile(lambda _: not cluster.is_over, itertools.count()):
        cluster.reconcile()
        cluster.advance(index)

    attempts = [fact.child_id for fact in cluster.driver.of(events.EpochCompleted)]
    assert attempts != sorted(attempts)
    assert alone == cluster.driver.search
