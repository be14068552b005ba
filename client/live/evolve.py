# SPDX-License-Identifier: Apache-2.0
"""What a fact changes on the screen: state and event give the next state, in the order of the journal.

Facts are the server's and are believed; a child that is not on the screen is one that was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from client.follow import TERMINAL_FACTS
from client.live.state import NOTE_LIMIT, QUIET_SECONDS, ChildRow, LiveState
from client.phrases import derivation, pause_notice
from client.render import describe_choice, event_line
from client.text import span, word
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2
from nas.text import escape

NOTABLE = frozenset(
    {
        *("transformation_skipped", "attempt_lost", "child_failed", "stopping_criterion_met", "time_budget_reached"),
        *("cancel_requested", "search_failed"),
    }
)
"""Facts that get a line of their own; all others are seen in what they change."""


def evolve(state: LiveState, event: event_pb2.Event, now: float) -> LiveState:
    """Return the state after an event.

    Args:
        state: before it.
        event: the next one.
        now: when it came, by this machine's clock.
    """
    name = event.WhichOneof("fact")
    event_seconds = event.time.seconds + event.time.nanos / 1e9
    is_news = state.arrived is not None and now - state.arrived > QUIET_SECONDS
    state = replace(
        state,
        sequence=event.sequence,
        running_seconds=event.running_time.seconds + event.running_time.nanos / 1e9,
        event_seconds=event_seconds,
        arrived=now,
        clock_offset=now - event_seconds if is_news else state.clock_offset,
    )
    state = _with_pause_reason(state, search_pb2.PAUSE_REASON_UNSPECIFIED, now)  # there is room for events again
    if name is None or name in NOTABLE:
        state = _noted(state, event_line(event))
    if name is None:
        return state
    return FOLDS.get(name, _unchanged)(state, getattr(event, name))


def hear(state: LiveState, heartbeat: search_service_pb2.Heartbeat, now: float) -> LiveState:
    """Return the state after a sign of life, which tells the server's clock and whether the search gets on."""
    clock_offset = now - heartbeat.time.seconds - heartbeat.time.nanos / 1e9
    return _with_pause_reason(replace(state, clock_offset=clock_offset), heartbeat.pause_reason, now)


def lose(state: LiveState, text: str, now: float) -> LiveState:
    """Return the state after the connection was lost."""
    noted = _noted(state, f"{span(state.elapsed_seconds(now))}  {text}")
    return replace(noted, lost_since=now)


def find(state: LiveState, text: str, now: float) -> LiveState:
    """Return the state after the connection came back; what is heard next may have happened in between."""
    noted = _noted(state, f"{span(state.elapsed_seconds(now))}  {text}")
    return replace(noted, lost_since=None, arrived=now)


def _with_pause_reason(state: LiveState, pause_reason: int, now: float) -> LiveState:
    text = pause_notice(state.pause_reason, pause_reason)
    if text:
        state = _noted(state, f"{span(state.elapsed_seconds(now))}  {text}")
    return replace(state, pause_reason=pause_reason)


def _noted(state: LiveState, line: str) -> LiveState:
    return replace(state, notes=(*state.notes, line)[-NOTE_LIMIT:])


def _search_started(state: LiveState, fact: event_pb2.SearchStarted) -> LiveState:
    warnings = tuple(escape(warning) for warning in fact.warnings)
    state = replace(
        state,
        state=search_pb2.Search.STATE_RUNNING,
        config=fact.config,
        warnings=warnings,
        train_images=sum(fact.dataset.train_counts),
    )
    for warning in warnings:
        state = _noted(state, f"{span(0)}  Warning: {warning}")
    return state


def _iteration_started(state: LiveState, fact: event_pb2.IterationStarted) -> LiveState:
    return replace(state, iteration=fact.iteration, children=())


def _child_proposed(state: LiveState, fact: event_pb2.ChildProposed) -> LiveState:
    row = ChildRow(
        child_id=fact.child_id,
        parent_id=fact.parent_id,
        origin=derivation(fact),
        notation=fact.architecture.notation,
        param_count=fact.architecture.param_count,
    )
    return replace(state, children=(*state.children, row))


def _attempt_launched(state: LiveState, fact: event_pb2.AttemptLaunched) -> LiveState:
    if fact.kind == search_pb2.ATTEMPT_KIND_TEST_EVALUATION:
        return replace(state, testing_id=fact.child_id)
    return _changed(state, fact.child_id, state=search_pb2.Child.STATE_RUNNING, attempt=fact.attempt)


def _attempt_started(state: LiveState, fact: event_pb2.AttemptStarted) -> LiveState:
    if state.testing_id:
        return state
    device = word(search_pb2.Device, fact.runtime.device)
    precision = word(search_pb2.Precision, fact.runtime.precision)
    return _changed(state, fact.child_id, device=f"{device} {precision}", epochs=fact.resumed_after_epoch)


def _epoch_completed(state: LiveState, fact: event_pb2.EpochCompleted) -> LiveState:
    result = fact.result
    return _changed(
        state,
        fact.child_id,
        epochs=result.epoch,
        evaluation=result.validation,
        images_per_second=result.images_per_second,
    )


def _child_succeeded(state: LiveState, fact: event_pb2.ChildSucceeded) -> LiveState:
    done = search_pb2.Child.STATE_SUCCEEDED
    return _changed(state, fact.child_id, state=done, epochs=fact.epoch_count, evaluation=fact.evaluation)


def _attempt_lost(state: LiveState, fact: event_pb2.AttemptLost) -> LiveState:
    if state.testing_id:
        return state
    return _changed(state, fact.child_id, state=search_pb2.Child.STATE_PROPOSED, device="", images_per_second=0.0)


def _child_failed(state: LiveState, fact: event_pb2.ChildFailed) -> LiveState:
    return _changed(state, fact.child_id, state=search_pb2.Child.STATE_FAILED)


def _child_cancelled(state: LiveState, fact: event_pb2.ChildCancelled) -> LiveState:
    return _changed(state, fact.child_id, state=search_pb2.Child.STATE_CANCELLED)


def _children_selected(state: LiveState, fact: event_pb2.ChildrenSelected) -> LiveState:
    choices = tuple(escape(describe_choice(choice)) for choice in fact.choices)
    state = replace(state, selected_iteration=fact.iteration, choices=choices)
    return _with_incumbent(state, fact.incumbent_id)


def _finishing_started(state: LiveState, fact: event_pb2.FinishingStarted) -> LiveState:
    best, *_ = fact.parent_ids
    return replace(_with_incumbent(state, best), is_finishing=True, children=())


def _finishing_completed(state: LiveState, fact: event_pb2.FinishingCompleted) -> LiveState:
    return _with_incumbent(state, fact.winner_id)


def _winner_evaluated(state: LiveState, fact: event_pb2.WinnerEvaluated) -> LiveState:
    state = replace(state, testing_id="", test_evaluation=fact.evaluation)
    return _with_incumbent(state, fact.child_id)


def _cancel_requested(state: LiveState, _: event_pb2.CancelRequested) -> LiveState:
    return replace(state, state=search_pb2.Search.STATE_CANCELLING)


def _search_succeeded(state: LiveState, fact: event_pb2.SearchSucceeded) -> LiveState:
    return _with_incumbent(_ended(state, "search_succeeded"), fact.winner_id)


def _search_failed(state: LiveState, _: event_pb2.SearchFailed) -> LiveState:
    return _ended(state, "search_failed")


def _search_cancelled(state: LiveState, fact: event_pb2.SearchCancelled) -> LiveState:
    return _with_incumbent(_ended(state, "search_cancelled"), fact.incumbent_id)


def _unchanged(state: LiveState, _: Any) -> LiveState:
    return state


def _pause_requested(state: LiveState, _: event_pb2.PauseRequested) -> LiveState:
    return replace(state, state=search_pb2.Search.STATE_PAUSING)


def _search_paused(state: LiveState, _: event_pb2.SearchPaused) -> LiveState:
    return replace(state, state=search_pb2.Search.STATE_PAUSED)


def _search_resumed(state: LiveState, _: event_pb2.SearchResumed) -> LiveState:
    return replace(state, state=search_pb2.Search.STATE_RUNNING)


def _ended(state: LiveState, fact: str) -> LiveState:
    return replace(state, state=TERMINAL_FACTS[fact], testing_id="")


def _changed(state: LiveState, child_id: str, /, **fields: Any) -> LiveState:
    rows = tuple(replace(row, **fields) if row.child_id == child_id else row for row in state.children)
    return replace(state, children=rows)


def _with_incumbent(state: LiveState, child_id: str) -> LiveState:
    # The best child of a search is the one known or one of the children that ended last.
    found = [row for row in state.children if row.child_id == child_id]
    return replace(state, incumbent=found[0]) if found else state


FOLDS: dict[str, Callable[[LiveState, Any], LiveState]] = {
    "search_started": _search_started,
    "iteration_started": _iteration_started,
    "child_proposed": _child_proposed,
    "transformation_skipped": _unchanged,
    "attempt_launched": _attempt_launched,
    "attempt_started": _attempt_started,
    "epoch_completed": _epoch_completed,
    "child_succeeded": _child_succeeded,
    "attempt_lost": _attempt_lost,
    "child_failed": _child_failed,
    "child_cancelled": _child_cancelled,
    "children_selected": _children_selected,
    "stopping_criterion_met": _unchanged,
    "time_budget_reached": _unchanged,
    "cancel_requested": _cancel_requested,
    "winner_evaluated": _winner_evaluated,
    "search_succeeded": _search_succeeded,
    "search_failed": _search_failed,
    "search_cancelled": _search_cancelled,
    "pause_requested": _pause_requested,
    "search_paused": _search_paused,
    "search_resumed": _search_resumed,
    "search_deleted": _unchanged,
    "finishing_started": _finishing_started,
    "finishing_completed": _finishing_completed,
}
"""What every fact of the API changes; a test holds it total."""
