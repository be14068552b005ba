# SPDX-License-Identifier: Apache-2.0
"""What holds for a search after any sequence of commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from search_driver import Driver

from nas.child import ChildId
from nas.recipe import Finish, planned_epochs
from nas.search import events
from nas.search.evolve import evolve
from nas.search.finishing import training_of
from nas.search.machine import pending_work, running_attempts
from nas.search.reasons import AttemptKind
from nas.search.retention import retained
from nas.search.state import Search, SearchState
from nas.search.strategies import STRATEGIES

STEPS = (
    events.AttemptStarted,
    events.EpochCompleted,
    events.AttemptLost,
    events.ChildSucceeded,
    events.WinnerEvaluated,
)
OUTCOMES = (events.AttemptLost, events.ChildSucceeded, events.WinnerEvaluated)


def check_all(driver: Driver) -> None:
    """Check everything that can be seen from facts and state."""
    check_never_stuck(driver)
    check_ids(driver)
    check_fences(driver)
    check_caps(driver.search)
    check_numbers(driver.search)
    check_finishing(driver)


def check_never_stuck(driver: Driver) -> None:
    """A running search has pending work or running attempts; a paused or ended one has neither."""
    search = driver.search
    is_at_rest = search.state.is_terminal or search.state is SearchState.PAUSED
    facts = [fact for fact in driver.facts if not isinstance(fact, events.SearchDeleted)]
    assert is_at_rest != bool(pending_work(search) or running_attempts(search))
    assert search.state.is_terminal == isinstance(facts[-1], events.TERMINAL_EVENTS)
    assert not any(isinstance(fact, events.TERMINAL_EVENTS) for fact in facts[:-1])


def check_ids(driver: Driver) -> None:
    """Each id belongs to one child or to one skipped transformation, and to an iteration that has begun.

    With the strategy ``paper`` an iteration has the ids from 1 to 4 or to 8.
    """
    facts = driver.of(events.ChildProposed) + driver.of(events.TransformationSkipped)
    used = sorted(fact.child_id for fact in facts)
    assert len(used) == len(set(used))
    assert set(used) == {*driver.search.children, *driver.search.skipped}
    finishing = driver.search.finishing
    if finishing is not None:
        assert finishing.iteration == driver.search.iteration + 1
        stage = [ChildId(finishing.iteration, y) for y in range(1, len(finishing.parents) + 1)]
        assert used[-len(stage) :] == stage
        del used[-len(stage) :]
    assert used[-1].iteration <= driver.search.iteration
    if driver.config.strategy == "paper":
        expected = [ChildId(0, 1)]
        for started in driver.of(events.IterationStarted):
            expected += [ChildId(started.iteration, y) for y in range(1, 4 * len(started.parents) + 1)]
        assert expected == used
    assert [started.iteration for started in driver.of(events.IterationStarted)] == list(
        range(1, driver.search.iteration + 1)
    )


def check_fences(driver: Driver) -> None:
    """A child's attempts count up by one, never two run at once, and only the running one changes anything."""
    last: dict[ChildId, int] = {}
    out: dict[ChildId, int] = {}
    for fact in driver.facts:
        if isinstance(fact, events.AttemptLaunched):
            assert fact.child_id not in out
            assert last.get(fact.child_id, 0) + 1 == fact.attempt
            last[fact.child_id] = out[fact.child_id] = fact.attempt
        elif isinstance(fact, STEPS):
            assert out[fact.child_id] == fact.attempt
            if isinstance(fact, OUTCOMES):
                del out[fact.child_id]
        elif isinstance(fact, events.ChildFailed):
            assert last[fact.child_id] == fact.attempt
            out.pop(fact.child_id, None)
    expected = {work.child_id: work.attempt for work in running_attempts(driver.search)}
    assert driver.search.state.is_terminal or expected == out


def check_caps(search: Search) -> None:
    """The numbers of attempts, failures and iterations stay within their caps."""
    assert search.iteration <= search.config.max_iterations
    for child in search.children.values():
        assert child.lost_attempts <= search.config.max_attempts
        assert child.out_of_memory <= 2
        training = training_of(search, child.child_id)
        assert len(child.epochs) <= planned_epochs(training, sum(search.started.dataset.counts.train))
    if search.evaluation is not None:
        assert search.evaluation.lost_attempts <= search.config.max_attempts


def check_finishing(driver: Driver) -> None:
    """The stage comes once, after the search has stopped, and everything in it has an outcome before the test."""
    search = driver.search
    started, completed = driver.of(events.FinishingStarted), driver.of(events.FinishingCompleted)
    assert len(completed) <= len(started) <= 1
    assert bool(started) == (search.finishing is not None)
    assert not started or (search.stop is not None and search.config.finish is not Finish.NONE)
    if search.config.finish is not Finish.NONE:
        assert bool(completed) == (search.evaluation is not None)
    if search.finishing is not None:
        parents = [search.children[parent] for parent in search.finishing.parents]
        nets = [(parent.child_id, parent.architecture) for parent in parents]
        assert nets == [(child.parent_id, child.architecture) for child in search.finishing_children]
        assert all(
            choice.child_id.iteration <= search.iteration for made in search.selections for choice in made.choices
        )
    if completed:
        assert not search.unfinished


def check_numbers(search: Search) -> None:
    """The state holds finite losses only, so that children can be compared."""
    for child in search.children.values():
        assert [result.epoch for result in child.epochs] == list(range(1, len(child.epochs) + 1))
        assert all(math.isfinite(result.training_loss) for result in child.epochs)
        assert all(result.validation.is_finite for result in child.epochs)
        assert child.evaluation is None or child.evaluation.is_finite


def check_files(driver: Driver) -> None:
    """Every file that was needed, from the first command to the last, was there."""
    files, search = Files(), None
    for _, facts in driver.log:
        for fact in facts:
            assert not isinstance(fact, str), "a command was refused"
            search = evolve(search, fact)
        if search is not None and not isinstance(facts, str):
            files.follow(search, facts)


@dataclass(slots=True)
class Files:
    """The files of a server that deletes at once whatever is not retained.

    Attributes:
        weights, checkpoints: of which children there are any.
    """

    weights: set[ChildId] = field(default_factory=set)
    checkpoints: set[ChildId] = field(default_factory=set)

    def follow(self, search: Search, facts: Sequence[events.Event]) -> None:
        """Write, read and delete as the facts demand; ``search`` is the state after them."""
        for fact in facts:
            match fact:
                case events.EpochCompleted(child_id=child_id):
                    self.checkpoints.add(child_id)
                case events.ChildSucceeded(child_id=child_id):
                    self.weights.add(child_id)
                case events.AttemptLaunched(child_id=child_id, kind=AttemptKind.TEST_EVALUATION):
                    assert {child_id, *(child.child_id for child in search.rivals)} <= self.weights
                case events.AttemptLaunched(child_id=child_id):
                    assert not search.children[child_id].epochs or child_id in self.checkpoints
        kept = retained(search)
        self.weights &= kept.weights
        self.checkpoints &= kept.checkpoints
        self.check(search)

    def check(self, search: Search) -> None:
        """Weights of incumbent, winner and parents are there, and those that the strategy still needs."""
        needed = STRATEGIES[search.config.strategy].keeps(search)
        assert all(child_id in self.weights for child_id in needed if search.children[child_id].evaluation is not None)
        incumbent = search.incumbent
        assert incumbent is None or incumbent.child_id in self.weights
        if search.evaluation is not None:
            assert incumbent is not None
            assert incumbent.child_id == search.evaluation.child_id
        if search.selections:
            assert {choice.child_id for choice in search.selections[-1].choices} <= self.weights
