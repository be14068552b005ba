# SPDX-License-Identifier: Apache-2.0
"""The life cycles as data: which fact takes what from which state to which.

``evolve`` looks every life-cycle change up here, and ``docs/state-machine.md`` is drawn from here, so code and picture
cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TypeVar

from nas.search import events
from nas.search.state import ChildState, EvaluationState, SearchState

StateT = TypeVar("StateT", bound=Enum)
Table = Mapping[tuple[StateT | None, type[events.Event]], StateT]

SEARCH_TRANSITIONS: Table[SearchState] = {
    (None, events.SearchStarted): SearchState.RUNNING,
    (SearchState.RUNNING, events.CancelRequested): SearchState.CANCELLING,
    (SearchState.RUNNING, events.SearchSucceeded): SearchState.SUCCEEDED,
    (SearchState.RUNNING, events.SearchFailed): SearchState.FAILED,
    (SearchState.CANCELLING, events.SearchCancelled): SearchState.CANCELLED,
    (SearchState.RUNNING, events.PauseRequested): SearchState.PAUSING,
    (SearchState.PAUSING, events.SearchPaused): SearchState.PAUSED,
    (SearchState.PAUSING, events.SearchResumed): SearchState.RUNNING,
    (SearchState.PAUSED, events.SearchResumed): SearchState.RUNNING,
    (SearchState.PAUSING, events.CancelRequested): SearchState.CANCELLING,
    (SearchState.PAUSED, events.CancelRequested): SearchState.CANCELLING,
    (SearchState.SUCCEEDED, events.SearchDeleted): SearchState.DELETED,
    (SearchState.FAILED, events.SearchDeleted): SearchState.DELETED,
    (SearchState.CANCELLED, events.SearchDeleted): SearchState.DELETED,
}

CHILD_TRANSITIONS: Table[ChildState] = {
    (None, events.ChildProposed): ChildState.PROPOSED,
    (ChildState.PROPOSED, events.AttemptLaunched): ChildState.RUNNING,
    (ChildState.PROPOSED, events.ChildFailed): ChildState.FAILED,
    (ChildState.PROPOSED, events.ChildCancelled): ChildState.CANCELLED,
    (ChildState.RUNNING, events.AttemptStarted): ChildState.RUNNING,
    (ChildState.RUNNING, events.EpochCompleted): ChildState.RUNNING,
    (ChildState.RUNNING, events.AttemptLost): ChildState.PROPOSED,
    (ChildState.RUNNING, events.ChildSucceeded): ChildState.SUCCEEDED,
    (ChildState.RUNNING, events.ChildFailed): ChildState.FAILED,
}

EVALUATION_TRANSITIONS: Table[EvaluationState] = {
    (None, events.StoppingCriterionMet): EvaluationState.DUE,
    (None, events.FinishingCompleted): EvaluationState.DUE,
    (EvaluationState.DUE, events.AttemptLaunched): EvaluationState.RUNNING,
    (EvaluationState.RUNNING, events.AttemptStarted): EvaluationState.RUNNING,
    (EvaluationState.RUNNING, events.AttemptLost): EvaluationState.DUE,
    (EvaluationState.RUNNING, events.WinnerEvaluated): EvaluationState.DONE,
}


class IllegalEventError(Exception):
    """A fact that cannot follow what came before it: the journal is not one of this program."""

    def __init__(self, event: events.Event, state: Enum | None) -> None:
        name = "nothing" if state is None else f"{type(state).__name__} {state.name}"
        super().__init__(f"{type(event).__name__} cannot follow {name}")
        self.event = event
        self.state = state


def next_state(table: Table[StateT], state: StateT | None, event: events.Event) -> StateT:
    """Look up where ``event`` leads.

    Raises:
        IllegalEventError: nowhere.
    """
    try:
        return table[state, type(event)]
    except KeyError:
        raise IllegalEventError(event, state) from None


def to_mermaid(table: Table[StateT]) -> str:
    """Draw one table as a Mermaid state diagram."""
    return "\n".join(("stateDiagram-v2", *_mermaid_lines(table)))


def _mermaid_lines(table: Table[StateT]) -> Iterator[str]:
    for (source, event), target in table.items():
        yield f"    {'[*]' if source is None else source.name} --> {target.name}: {event.__name__}"
    left = {source for source, event in table if event is not events.SearchDeleted}
    for final in dict.fromkeys(target for target in table.values() if target not in left):
        yield f"    {final.name} --> [*]"
