# SPDX-License-Identifier: Apache-2.0
"""The finishing stage: which nets are trained once more, for how long, and what that does to the result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search_driver import DATASET, Driver, Fails, Faults, Loses, ids, make_config, make_result, scripted

from nas.api.v1 import search_pb2
from nas.child import ChildId
from nas.config import TrainingConfig
from nas.recipe import MOST_EPOCHS, Finish, finishing_epochs, planned_epochs
from nas.search import commands, events
from nas.search.digest import canonical_result
from nas.search.evolve import evolve
from nas.search.finishing import finished, finishing_seconds, training_of
from nas.search.machine import Work, pending_work
from nas.search.reasons import AttemptKind, FailureReason, LostReason, StopReason
from nas.search.retention import retained
from nas.search.state import ChildState, SearchState
from nas.search.transitions import IllegalEventError

TRAIN_IMAGES = sum(DATASET.counts.train)
DIVERGED = Fails(FailureReason.DIVERGED)


def _driver(correct: dict[str, int], faults: Faults | None = None, **settings: object) -> Driver:
    """A search of one iteration with finishing, in which children are as good as ``scripted`` says."""
    config = make_config(**{"max_iterations": 1, "finish": Finish.SHORT, **settings})
    return Driver(config, scripted(correct), faults or {})


def _smallest(driver: Driver) -> str:
    """The smallest child of the last selection."""
    return str(driver.search.selections[-1].choices[1].child_id)


@pytest.mark.parametrize(
    ("finish", "max_epochs", "min_steps", "images", "epochs"),
    [
        (Finish.NONE, 10, 0, 100, 0),
        (Finish.SHORT, 10, 0, 100, 20),
        (Finish.FULL, 10, 0, 100, 50),
        (Finish.FULL, 10, 600, 300, 600),
        (Finish.FULL, 3_000, 0, 100, MOST_EPOCHS),
        (Finish.SHORT, 1, 10_000_000, 64, MOST_EPOCHS),
    ],
)
def test_length(finish: Finish, max_epochs: int, min_steps: int, images: int, epochs: int) -> None:
    """A multiple of the epochs of a training, a floor of steps included, and never more than a training can have."""
    training = TrainingConfig(max_epochs=max_epochs, min_steps=min_steps, batch_size=64)
    message = search_pb2.TrainingConfig(max_epochs=max_epochs, min_steps=min_steps, batch_size=64)

    longer = finished(training, finish, images)

    assert epochs == finishing_epochs(training, finish, images) == finishing_epochs(message, finish, images)
    assert planned_epochs(longer, images) == (epochs or planned_epochs(training, images))
    assert replace(longer, max_epochs=max_epochs, min_steps=min_steps) == training


def test_best_and_smallest_are_trained_once_more() -> None:
    """From the settings of the search, with more epochs, under ids of one more iteration."""
    driver = _driver({"1-2": 90})
    driver.run(until_stop=True)
    smallest = _smallest(driver)

    (started,) = driver.of(events.FinishingStarted)
    stage = driver.search.finishing_children

    assert (2, ["1-2", smallest]) == (started.iteration, ids(started.parents))
    assert [("2-1", "1-2"), ("2-2", smallest)] == [(str(child.child_id), str(child.parent_id)) for child in stage]
    assert [None, None] == [child.transformation for child in stage]
    assert [4, 4] == [training_of(driver.search, child.child_id).max_epochs for child in stage]
    assert driver.config.training == training_of(driver.search, ChildId(1, 2))
    assert stage[0].graph_hash == driver.children["1-2"].graph_hash
    assert [Work(child_id=child.child_id, kind=AttemptKind.TRAINING, attempt=None) for child in stage] == [
        *pending_work(driver.search)
    ]


def test_a_finished_net_wins_and_is_tested() -> None:
    """The test is due when all are done; the smallest is tested as it was finished."""
    driver = _driver({"1-2": 90, "2-1": 95, "2-2": 10})
    driver.run()

    (completed,) = driver.of(events.FinishingCompleted)
    assert SearchState.SUCCEEDED is driver.search.state
    assert "2-1" == str(completed.winner)
    assert ["2-1", "2-2"] == ids(driver.search.assessed)
    assert 1 == driver.search.iteration
    assert 4 == len(driver.children["2-1"].epochs)
    assert [1] == [made.iteration for made in driver.of(events.ChildrenSelected)]


def test_a_finished_net_that_is_worse_does_not_win() -> None:
    """The net of the search stays the result."""
    driver = _driver({"1-2": 90, "2-1": 89, "2-2": 10})
    driver.run()

    assert ["1-2", "2-2"] == ids(driver.search.assessed)


def test_a_smallest_net_that_wins_is_tested_once() -> None:
    """Its finished form wins, so the form that the search found is no rival."""
    driver = _driver({"1-2": 90, "2-2": 95})
    driver.run()

    assert ["2-2"] == ids(driver.search.assessed)


def test_the_only_net_of_a_search_is_finished() -> None:
    """The initial model alone: one training in the search, one after it."""
    driver = _driver({"1": 95}, max_iterations=0)
    driver.run()

    assert ["0-1", "1-1"] == ids([*driver.search.children.values()])
    assert ["1-1"] == ids(driver.search.assessed)


@pytest.mark.parametrize("correct", [{"1-2": 90}, {}])
def test_what_fails_costs_nothing(correct: dict[str, int]) -> None:
    """The search succeeds with what it would have found without finishing."""
    failing: Faults = {("2-1", 1): DIVERGED, **{("2-2", n): Loses(LostReason.TIMED_OUT) for n in (1, 2, 3)}}
    plain = _driver(correct, finish=Finish.NONE)
    plain.run()
    driver = _driver(correct, failing, max_failed_children=1)
    driver.run()

    stage = driver.search.finishing_children
    assert [ChildState.FAILED] * 2 == [child.state for child in stage]
    assert FailureReason.ATTEMPTS_EXHAUSTED is stage[1].failure
    assert ids(plain.search.assessed) == ids(driver.search.assessed)
    assert SearchState.SUCCEEDED is driver.search.state


@pytest.mark.parametrize("finish", [Finish.SHORT, Finish.FULL])
def test_the_search_before_it_is_the_same(finish: Finish) -> None:
    """Children, selections and the reason to stop do not depend on what comes after."""
    plain, driver = Driver(make_config()), Driver(make_config(finish=finish))
    plain.run()
    driver.run()

    expected, found = canonical_result(plain.search), canonical_result(driver.search)
    searched = found["children"][: -len(driver.search.finishing_children)]
    assert (expected["children"], expected["selections"]) == (searched, found["selections"])
    assert expected["stop"] == found["stop"]
    facts = [fact for fact in driver.facts if not isinstance(fact, events.SearchStarted)]
    stop = next(at for at, fact in enumerate(facts) if isinstance(fact, events.FinishingStarted))
    assert plain.facts[1 : stop + 1] == facts[:stop]
    assert {"finish"} == found["config"].keys() - expected["config"].keys()


def test_without_a_trained_net_there_is_nothing_to_finish() -> None:
    """The search fails as it does without finishing."""
    driver = _driver({}, {(f"1-{y}", 1): DIVERGED for y in range(1, 5)})
    driver.run()

    assert SearchState.FAILED is driver.search.state
    assert [] == driver.of(events.FinishingStarted)


def test_it_goes_on_after_the_time_budget() -> None:
    """What was found in time is finished: a lost attempt is tried again, and nothing is cancelled."""
    driver = _driver({"1-2": 90, "2-1": 95}, {("2-1", 1): Loses(LostReason.TIMED_OUT, after=1)})
    for child in ("1-1", "1-2"):
        driver.attempt(child)
    driver.launch("1-3")
    driver.send(commands.ReachTimeBudget())
    driver.lose(LostReason.CANCELLED)
    driver.run()

    assert StopReason.TIME_BUDGET is driver.search.stop
    assert ["1-2"] == ids(driver.search.finishing.parents if driver.search.finishing else ())
    assert (2, 1) == (driver.children["2-1"].attempts - 1, driver.children["2-1"].lost_attempts)  # one is the test's
    assert ["2-1"] == ids(driver.search.assessed)


def test_it_can_be_cancelled_and_paused() -> None:
    """Like any other part of a search."""
    driver = _driver({"1-2": 90})
    driver.run(until_stop=True)
    driver.launch("2-1")
    driver.send(commands.PauseSearch())
    driver.lose(LostReason.PREEMPTED)
    assert driver.of(events.SearchPaused)
    driver.send(commands.ResumeSearch())
    driver.attempt("2-1")
    driver.launch("2-2")
    driver.send(commands.CancelSearch())
    driver.lose(LostReason.CANCELLED)

    assert SearchState.CANCELLED is driver.search.state
    assert [ChildState.SUCCEEDED, ChildState.CANCELLED] == [child.state for child in driver.search.finishing_children]
    assert [] == driver.of(events.FinishingCompleted)


def test_a_stage_that_was_cut_off_is_completed() -> None:
    """A journal that ends within the decision, as a salvaged one may, is gone on with."""
    driver = _driver({"1-2": 90})
    driver.run(until_stop=True)
    cut = driver.facts[: driver.facts.index(driver.of(events.FinishingStarted)[0]) + 2]
    search = None
    for fact in cut:
        search = evolve(search, fact)
    assert search is not None
    driver.search, driver.facts = search, cut
    assert ["2-1"] == ids(search.finishing_children)

    driver.run()

    assert ["2-1", "2-2"] == ids(driver.search.finishing_children)
    assert SearchState.SUCCEEDED is driver.search.state


def test_what_is_still_needed_is_kept() -> None:
    """The weights of the nets that may win or be tested, and of those that are being trained."""
    driver = _driver({"1-2": 90, "2": 95})
    driver.run(until_stop=True)
    driver.attempt("2-1")

    kept = {str(child_id) for child_id in retained(driver.search).weights}

    assert {"1-2", _smallest(driver), "2-1", "2-2"} == kept


def test_time_is_estimated_from_measured_epochs() -> None:
    """Nothing for nothing trained; then the best net's epochs, 2.5 s each, then those of the smallest, too."""
    driver = _driver({"1-2": 90}, max_iterations=2, finish=Finish.FULL)
    found = [finishing_seconds(driver.search)]
    driver.attempt("1-1")
    found.append(finishing_seconds(driver.search))
    driver.run(until_iteration=2)
    found.append(finishing_seconds(driver.search))

    assert 2.5 == make_result(1).seconds
    assert [0.0, 10 * 2.5, 2 * 10 * 2.5] == found
    assert 0.0 == finishing_seconds(Driver(make_config()).run())


@pytest.mark.parametrize("is_stopped", [False, True])
def test_it_begins_once_and_after_the_search(is_stopped: bool) -> None:
    """No other order is one of this program's."""
    driver = _driver({"1-2": 90})
    if is_stopped:
        driver.run(until_stop=True)

    with pytest.raises(IllegalEventError, match="FinishingStarted cannot follow"):
        evolve(driver.search, events.FinishingStarted(iteration=2, parents=()))
