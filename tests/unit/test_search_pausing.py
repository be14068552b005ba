# SPDX-License-Identifier: Apache-2.0
"""A paused search: running attempts end, none is launched, and after it resumes its result is that of no pause."""

from __future__ import annotations

from typing import Any

import pytest
from search_driver import Driver, Loses, make_config, make_lost, scripted

from nas.child import ChildId
from nas.search import commands, events
from nas.search.control import RejectedError
from nas.search.digest import digest
from nas.search.machine import pending_work, running_attempts
from nas.search.reasons import FailureReason, LostReason, SearchFailure
from nas.search.state import ChildState, EvaluationState, SearchState

PAUSE = commands.PauseSearch(principal="ada")
RESUME = commands.ResumeSearch(principal="bob")


def _kinds(facts: tuple[events.Event, ...]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def _pausing() -> Driver:
    """Three children are trained, the last of the first iteration is in training."""
    driver = Driver(make_config(max_attempts=1), scripted({"1-2": 90}))
    for child_id in ("1-1", "1-2", "1-3"):
        driver.attempt(child_id)
    driver.launch("1-4")
    driver.send(PAUSE)
    return driver


def _pausing_at_the_end(**settings: int) -> Driver:
    """The winner's test evaluation is running."""
    driver = Driver(make_config(max_iterations=1, **settings), scripted({"1-2": 90}))
    driver.run(until_stop=True)
    driver.launch("1-2")
    driver.send(PAUSE)
    return driver


def test_pausing_with_nothing_running() -> None:
    """It is PAUSED at once, has no work and waits for nothing; children keep waiting."""
    driver = Driver()

    facts = driver.send(PAUSE)

    assert (events.PauseRequested(principal="ada"), events.SearchPaused()) == facts
    assert ((), ()) == (pending_work(driver.search), running_attempts(driver.search))
    assert () == driver.send(commands.LaunchAttempt(child_id=ChildId(1, 1)))
    assert ChildState.PROPOSED is driver.children["1-1"].state


def test_pausing_waits_for_what_runs() -> None:
    """PAUSING until the running attempt has ended, which does not count against its child."""
    driver = _pausing()
    is_wanted, is_out = bool(pending_work(driver.search)), bool(running_attempts(driver.search))

    (work,) = running_attempts(driver.search)
    facts = driver.send(make_lost(work, LostReason.CANCELLED))

    assert (False, True) == (is_wanted, is_out)
    assert ["AttemptLost", "SearchPaused"] == _kinds(facts)
    assert ChildState.PROPOSED is driver.children["1-4"].state


def test_an_iteration_that_is_complete_is_selected_when_the_search_goes_on() -> None:
    """The last child succeeds while the search comes to rest: no selection and no new children before it is resumed."""
    driver = _pausing()
    for report in driver.reports(running_attempts(driver.search)[0]):
        driver.send(report)
    paused = (driver.search.state, driver.search.selections)

    facts = driver.send(RESUME)

    assert (SearchState.PAUSED, ()) == paused
    assert ["SearchResumed", "ChildrenSelected", "IterationStarted"] == _kinds(facts)[:3]


@pytest.mark.parametrize("reason", [LostReason.WORKER_SIGNALLED, LostReason.TIMED_OUT])
def test_a_loss_while_pausing_counts(reason: LostReason) -> None:
    """The last attempt that may fail has failed, pause or not; the child must not get one more."""
    driver = _pausing()

    driver.lose(reason)

    assert (ChildState.FAILED, FailureReason.ATTEMPTS_EXHAUSTED) == (
        driver.children["1-4"].state,
        driver.children["1-4"].failure,
    )
    assert SearchState.PAUSED is driver.search.state


def test_a_test_evaluation_lost_while_pausing() -> None:
    """It is due again; if that was the last attempt, the search fails when it is resumed."""
    often, once = _pausing_at_the_end(max_attempts=2), _pausing_at_the_end(max_attempts=1)

    for driver in (often, once):
        driver.lose(LostReason.TIMED_OUT)
        assert SearchState.PAUSED is driver.search.state
        driver.send(RESUME)

    assert often.search.evaluation is not None
    assert (SearchState.RUNNING, EvaluationState.DUE) == (often.search.state, often.search.evaluation.state)
    assert (SearchState.FAILED, SearchFailure.EVALUATION_FAILED) == (once.search.state, once.search.failure)


def test_a_test_evaluation_that_fails_while_pausing_is_due_again() -> None:
    """The failure will come again if it is one; a paused search does not end."""
    driver = _pausing_at_the_end()
    (work,) = running_attempts(driver.search)
    whose: Any = {"child_id": work.child_id, "attempt": work.attempt}

    facts = driver.send(commands.ReportFailed(**whose, reason=FailureReason.REJECTED, detail="no such file"))

    assert ["AttemptLost", "SearchPaused"] == _kinds(facts)


def test_resuming_before_the_search_has_come_to_rest() -> None:
    """A running attempt goes on: it is pending again under its number."""
    driver = _pausing()

    facts = driver.send(RESUME)

    assert (events.SearchResumed(principal="bob"),) == facts
    assert running_attempts(driver.search) == pending_work(driver.search)


@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_paused_search_can_be_cancelled(is_quiet: bool) -> None:
    """It ends like a running search, once no attempt is running."""
    driver = _pausing()
    if is_quiet:
        driver.lose(LostReason.PREEMPTED)
    driver.send(commands.CancelSearch())

    driver.lose(LostReason.PREEMPTED)

    assert events.SearchCancelled(incumbent=ChildId(1, 2)) == driver.facts[-1]
    assert ChildState.CANCELLED is driver.children["1-4"].state


def test_asking_twice_is_asking_once() -> None:
    """Pausing what pauses or is paused, and resuming what runs, changes nothing."""
    driver = _pausing()
    pausing = driver.send(PAUSE)
    driver.lose(LostReason.PREEMPTED)

    assert [(), ()] == [pausing, driver.send(PAUSE)]
    assert [1, 0] == [len(driver.send(RESUME)), len(driver.send(RESUME))]


@pytest.mark.parametrize("command", [PAUSE, RESUME], ids=["pause", "resume"])
def test_what_has_ended_can_neither_be_paused_nor_resumed(command: commands.Command) -> None:
    """The refusal is a sentence that says how it stands."""
    succeeded, failed = Driver(make_config(max_iterations=1)), Driver(make_config(initial="F() FC(2)"))
    succeeded.run()
    cancelling, cancelled, deleted = _pausing(), Driver(), Driver()
    for driver in (cancelling, cancelled, deleted):
        driver.send(commands.CancelSearch())
    deleted.send(commands.DeleteSearch())

    for sentence, driver in {
        "the search has succeeded already": succeeded,
        "the search has failed already": failed,
        "the search is being cancelled": cancelling,
        "the search has been cancelled already": cancelled,
        "the search has been deleted": deleted,
    }.items():
        with pytest.raises(RejectedError, match=f"^{sentence}$"):
            driver.send(command)


def test_a_search_that_was_paused_has_the_digest_of_one_that_was_not() -> None:
    """Waiting is nothing that was found."""
    plain = Driver(make_config(max_iterations=1))
    paused = Driver(make_config(max_iterations=1), faults={("1-2", 1): Loses(LostReason.PREEMPTED, after=1)})
    paused.attempt("1-1")
    paused.launch("1-2")
    paused.send(PAUSE)
    paused.lose(LostReason.PREEMPTED)
    paused.send(RESUME)

    assert digest(plain.run()) == digest(paused.run())
