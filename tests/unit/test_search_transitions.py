# SPDX-License-Identifier: Apache-2.0
"""The life cycles: what may follow what, that nothing else does, and that the picture of them is fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from search_driver import Driver, make_config, make_evaluation, make_result

from nas.child import ChildId
from nas.search import events
from nas.search.evolve import evolve, replay
from nas.search.reasons import AttemptKind, LostReason, StopReason
from nas.search.state import ChildState, EvaluationState, SearchState
from nas.search.transitions import (
    CHILD_TRANSITIONS,
    EVALUATION_TRANSITIONS,
    SEARCH_TRANSITIONS,
    IllegalEventError,
    next_state,
    to_mermaid,
)

ROOT = Path(__file__).resolve().parents[2]
EVENTS: tuple[type[events.Event], ...] = get_args(events.Event)
TABLES: dict[type[Enum], Any] = {
    SearchState: SEARCH_TRANSITIONS,
    ChildState: CHILD_TRANSITIONS,
    EvaluationState: EVALUATION_TRANSITIONS,
}
FINAL: dict[type[Enum], set[Enum]] = {
    SearchState: {SearchState.DELETED},
    ChildState: {ChildState.SUCCEEDED, ChildState.FAILED, ChildState.CANCELLED},
    EvaluationState: {EvaluationState.DONE},
}
CHILD = ChildId(1, 1)
WHOSE: dict[str, Any] = {"child_id": CHILD, "attempt": 1}


@pytest.mark.parametrize("states", TABLES)
def test_what_is_not_in_the_table_is_illegal(states: type[Enum]) -> None:
    """Each pair of state and event either leads to the state in the table or to an error that carries both."""
    table = TABLES[states]

    for state in (None, *states):
        for kind in EVENTS:
            event: Any = object.__new__(kind)
            if (state, kind) in table:
                assert table[state, kind] is next_state(table, state, event)
            else:
                with pytest.raises(IllegalEventError, match=f"{kind.__name__} cannot follow") as caught:
                    next_state(table, state, event)
                assert (event, state) == (caught.value.event, caught.value.state)


@pytest.mark.parametrize("states", TABLES)
def test_every_state_is_reached_and_left(states: type[Enum]) -> None:
    """No state is out of reach, and only the final ones have no way out."""
    table = TABLES[states]

    assert set(states) == set(table.values())
    assert FINAL[states] == set(states) - {source for source, _ in table}


def test_terminal_states_are_the_final_ones() -> None:
    """A terminal state is left by deletion only, and each terminal event leads to one."""
    ending = {kind for (_, kind), state in SEARCH_TRANSITIONS.items() if state.is_terminal}
    left = {source for (source, kind) in SEARCH_TRANSITIONS if kind is not events.SearchDeleted}

    assert set(SearchState) - left == {state for state in SearchState if state.is_terminal}
    assert {*events.TERMINAL_EVENTS, events.SearchDeleted} == ending


def test_a_history_begins_with_its_start() -> None:
    """An empty history is no search, and no other fact begins one."""
    with pytest.raises(IllegalEventError, match="TimeBudgetReached cannot follow nothing"):
        evolve(None, events.TimeBudgetReached())

    assert replay([]) is None


@pytest.mark.parametrize(
    "event",
    [
        Driver().facts[0],
        Driver().facts[1],
        events.EpochCompleted(**WHOSE, result=make_result(1)),
        events.AttemptLost(**WHOSE, reason=LostReason.TIMED_OUT, detail=""),
        events.AttemptLaunched(child_id=ChildId(9, 9), attempt=1, kind=AttemptKind.TRAINING),
        events.ChildCancelled(child_id=ChildId(9, 9)),
        events.WinnerEvaluated(**WHOSE, evaluation=make_evaluation(1)),
        events.SearchCancelled(incumbent=None),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_fact_that_cannot_follow_is_refused(event: events.Event) -> None:
    """A second start, a child that exists, an attempt that was not launched, a child that does not exist, ..."""
    search = Driver().search

    with pytest.raises(IllegalEventError, match=type(event).__name__):
        evolve(search, event)


def test_a_search_stops_once() -> None:
    """A second reason to stop is not one of this program's facts."""
    driver = Driver(make_config(max_iterations=1))
    driver.run(until_stop=True)

    with pytest.raises(IllegalEventError, match="StoppingCriterionMet cannot follow SearchState RUNNING"):
        evolve(driver.search, events.StoppingCriterionMet(reason=StopReason.TIME_BUDGET, iteration=1))


@pytest.mark.parametrize("kind", set(EVENTS) - {events.SearchDeleted}, ids=lambda kind: kind.__name__)
def test_nothing_follows_a_terminal_fact(kind: type[events.Event]) -> None:
    """Whatever it is, it is refused; only the end of its files may follow the end of a search."""
    driver = Driver(make_config(initial="F() FC(2)"))

    with pytest.raises(IllegalEventError, match="cannot follow SearchState FAILED"):
        evolve(driver.search, object.__new__(kind))


@pytest.mark.parametrize("states", TABLES)
def test_the_picture_shows_the_table(states: type[Enum]) -> None:
    """One arrow a transition, one more from each final state."""
    table = TABLES[states]

    first, *lines = to_mermaid(table).splitlines()

    arrows = [re.fullmatch(r"    (\S+) --> (\S+?)(?:: (\w+))?", line) for line in lines]
    drawn = {arrow.groups() for arrow in arrows if arrow}
    expected = {
        ("[*]" if source is None else source.name, to.name, kind.__name__) for (source, kind), to in table.items()
    }
    assert "stateDiagram-v2" == first
    left = {source for source, kind in table if kind is not events.SearchDeleted}
    assert expected | {(state.name, "[*]", None) for state in set(states) - left} == drawn
    assert len(lines) == len(drawn)


def test_the_document_is_fresh() -> None:
    """``docs/state-machine.md`` is what the tables say; ``make docs`` redraws it."""
    command = [sys.executable, "scripts/generate_docs.py", "--check"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
