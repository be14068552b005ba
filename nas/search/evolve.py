# SPDX-License-Identifier: Apache-2.0
"""What an event means: it takes a search from one state to the next.

The same code runs when an event has just been journaled and when the journal is replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

from nas.assessment import Assessed
from nas.child import ChildId
from nas.recipe import Finish
from nas.search import events
from nas.search.reasons import LostReason
from nas.search.state import Child, Finishing, Search, WinnerEvaluation
from nas.search.transitions import (
    CHILD_TRANSITIONS,
    EVALUATION_TRANSITIONS,
    SEARCH_TRANSITIONS,
    IllegalEventError,
    next_state,
)

UNCOUNTED = (LostReason.SERVER_RESTARTED, LostReason.CANCELLED, LostReason.PREEMPTED, LostReason.DISK_FULL)
"""Losses that do not count against ``max_attempts``."""

_StateEvent = (
    events.SearchStarted
    | events.CancelRequested
    | events.PauseRequested
    | events.SearchPaused
    | events.SearchResumed
    | events.SearchSucceeded
    | events.SearchCancelled
    | events.SearchDeleted
)
"""Events that change only the state of the life cycle of the search."""
_AttemptEvent = events.AttemptLaunched | events.AttemptStarted | events.AttemptLost
_ChildEvent = events.EpochCompleted | events.ChildSucceeded | events.ChildFailed | events.ChildCancelled


def evolve(search: Search | None, event: events.Event) -> Search:
    """Return the state after ``event``.

    Raises:
        IllegalEventError: the event cannot follow; only a journal that this program did not write can cause it.
    """
    if search is None:
        return _begun(event)
    if search.state.is_terminal and not isinstance(event, events.SearchDeleted):
        raise IllegalEventError(event, search.state)
    if isinstance(event, _StateEvent):
        return replace(search, state=next_state(SEARCH_TRANSITIONS, search.state, event))
    match event:
        case events.SearchFailed():
            state = next_state(SEARCH_TRANSITIONS, search.state, event)
            return replace(search, state=state, failure=event.reason, failure_detail=event.detail)
        case events.IterationStarted():
            return replace(search, iteration=event.iteration, parents=event.parents)
        case events.ChildProposed():
            return _with_child(search, _proposed(search, event))
        case events.AttemptLaunched() | events.AttemptStarted() | events.AttemptLost():
            return _after_attempt_event(search, event)
        case events.EpochCompleted() | events.ChildSucceeded() | events.ChildFailed() | events.ChildCancelled():
            return _with_child(search, _after_child_event(_child(search, event.child_id, event), event))
        case events.ChildrenSelected():
            return replace(search, selections=(*search.selections, event))
        case events.StoppingCriterionMet():
            return _stopped(search, event)
        case events.FinishingStarted():
            return _finishing(search, event)
        case events.FinishingCompleted():
            return _awaiting_test(search, event, event.winner)
        case events.TimeBudgetReached():
            return replace(search, is_out_of_time=True)
        case events.WinnerEvaluated():
            return replace(search, evaluation=_evaluated(search, event))
        case events.TransformationSkipped():
            return replace(search, skipped=(*search.skipped, event.child_id))
        case _:
            assert_never(event)


def replay(history: Iterable[events.Event]) -> Search | None:
    """Fold a search from its events; None if there are none."""
    search: Search | None = None
    for event in history:
        search = evolve(search, event)
    return search


def _begun(event: events.Event) -> Search:
    if not isinstance(event, events.SearchStarted):
        raise IllegalEventError(event, None)
    return Search(started=event, state=next_state(SEARCH_TRANSITIONS, None, event))


def _with_child(search: Search, child: Child) -> Search:
    children = search.children.copy()
    children[child.child_id] = child
    return replace(search, children=MappingProxyType(children))


def _child(search: Search, child_id: ChildId, event: events.Event) -> Child:
    try:
        return search.children[child_id]
    except KeyError:
        raise IllegalEventError(event, None) from None


def _proposed(search: Search, event: events.ChildProposed) -> Child:
    known = search.children.get(event.child_id)
    return Child(
        child_id=event.child_id,
        parent_id=event.parent_id,
        transformation=event.transformation,
        architecture=event.architecture,
        graph_hash=event.graph_hash,
        param_count=event.param_count,
        flops=event.flops,
        state=next_state(CHILD_TRANSITIONS, None if known is None else known.state, event),
    )


def _after_attempt_event(search: Search, event: _AttemptEvent) -> Search:
    """Apply an event that training and test evaluation share."""
    child = _child(search, event.child_id, event)
    evaluation = search.evaluation
    if evaluation is not None and evaluation.child_id == event.child_id:
        if isinstance(event, events.AttemptLaunched):
            search = _with_child(search, replace(child, attempts=event.attempt))
        elif isinstance(event, events.AttemptStarted):
            search = _with_child(search, replace(child, started_attempt=event.attempt))
        return replace(search, evaluation=_evaluation_after(evaluation, event))
    state = next_state(CHILD_TRANSITIONS, child.state, event)
    match event:
        case events.AttemptLaunched():
            child = replace(child, state=state, attempts=event.attempt)
        case events.AttemptStarted():
            child = replace(child, state=state, started_attempt=event.attempt, runtime=event.runtime)
        case events.AttemptLost():
            child = replace(
                child,
                state=state,
                lost_attempts=child.lost_attempts + (event.reason not in UNCOUNTED),
                out_of_memory=child.out_of_memory + (event.reason is LostReason.OUT_OF_MEMORY),
            )
        case _:
            assert_never(event)
    return _with_child(search, child)


def _evaluation_after(evaluation: WinnerEvaluation, event: _AttemptEvent) -> WinnerEvaluation:
    state = next_state(EVALUATION_TRANSITIONS, evaluation.state, event)
    is_counted = isinstance(event, events.AttemptLost) and event.reason not in UNCOUNTED
    return replace(evaluation, state=state, lost_attempts=evaluation.lost_attempts + is_counted)


def _after_child_event(child: Child, event: _ChildEvent) -> Child:
    state = next_state(CHILD_TRANSITIONS, child.state, event)
    match event:
        case events.EpochCompleted():
            # An attempt that goes back to an older checkpoint repeats epochs: the last report of each counts.
            kept = tuple(result for result in child.epochs if result.epoch < event.result.epoch)
            return replace(child, state=state, epochs=(*kept, event.result))
        case events.ChildSucceeded():
            return replace(
                child,
                state=state,
                is_stopped_early=event.is_stopped_early,
                evaluation=event.evaluation,
                best_epoch=event.best_epoch,
                weights_sha256=event.weights_sha256,
            )
        case events.ChildFailed():
            return replace(child, state=state, failure=event.reason, failure_detail=event.detail)
        case events.ChildCancelled():
            return replace(child, state=state)
        case _:
            assert_never(event)


def _stopped(search: Search, event: events.StoppingCriterionMet) -> Search:
    if search.stop is not None:
        raise IllegalEventError(event, search.state)
    search = replace(search, stop=event.reason)
    winner = search.incumbent
    if winner is None or search.config.finish is not Finish.NONE:
        return search
    return _awaiting_test(search, event, winner.child_id)


def _finishing(search: Search, event: events.FinishingStarted) -> Search:
    if search.stop is None or search.finishing is not None or search.evaluation is not None:
        raise IllegalEventError(event, search.state)
    return replace(search, finishing=Finishing(iteration=event.iteration, parents=event.parents))


def _awaiting_test(
    search: Search, event: events.StoppingCriterionMet | events.FinishingCompleted, winner: ChildId
) -> Search:
    known = search.evaluation
    state = next_state(EVALUATION_TRANSITIONS, None if known is None else known.state, event)
    return replace(search, evaluation=WinnerEvaluation(child_id=winner, state=state))


def _evaluated(search: Search, event: events.WinnerEvaluated) -> WinnerEvaluation:
    evaluation = search.evaluation
    if evaluation is None:
        raise IllegalEventError(event, search.state)
    state = next_state(EVALUATION_TRANSITIONS, evaluation.state, event)
    result = Assessed(child_id=event.child_id, evaluation=event.evaluation, assessment=event.assessment)
    return replace(evaluation, state=state, result=result, others=event.others)
