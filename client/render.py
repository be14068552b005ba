# SPDX-License-Identifier: Apache-2.0
"""One event, one line: pure, so that what a terminal shows is a function of what the journal holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.phrases import (
    accuracy_text,
    block_name,
    derivation,
    describe_runtime,
    fold_text,
    part_sizes_and_patients,
    settings_text,
    stop_reason,
    validation_text,
)
from client.text import clock, count, percent, word
from nas.api.v1 import event_pb2, search_pb2
from nas.text import escape


def event_line(event: event_pb2.Event) -> str:
    """Print an event with the running time at which it happened."""
    name = event.WhichOneof("fact")
    if name is None:
        text = f"event {event.sequence} is one that this client does not know; a newer nas-client shows it"
    else:
        text = SENTENCES[name](getattr(event, name))
    return escape(f"{clock(event.running_time)}  {text}")


def _search_started(fact: event_pb2.SearchStarted) -> str:
    config, dataset = fact.config, fact.dataset
    return (
        f"search started: {block_name(config.block)} on {config.dataset} ({part_sizes_and_patients(dataset)}), "
        f"{settings_text(config)}{fold_text(config)}"
    )


def _iteration_started(fact: event_pb2.IterationStarted) -> str:
    return f"iteration {fact.iteration} started from {' and '.join(fact.parent_ids)}"


def _child_proposed(fact: event_pb2.ChildProposed) -> str:
    origin = f"{derivation(fact)} of {fact.parent_id}" if fact.parent_id else "the initial model"
    architecture = fact.architecture
    return f"child {fact.child_id} proposed: {origin}, {architecture.param_count} parameters, {architecture.notation}"


def _transformation_skipped(fact: event_pb2.TransformationSkipped) -> str:
    operation = word(search_pb2.Operation, fact.operation).replace(" ", "_")
    return f"child {fact.child_id} skipped: {operation} of {fact.parent_id}, {word(search_pb2.SkipReason, fact.reason)}"


def _attempt_launched(fact: event_pb2.AttemptLaunched) -> str:
    return f"child {fact.child_id} attempt {fact.attempt} launched: {word(search_pb2.AttemptKind, fact.kind)}"


def _attempt_started(fact: event_pb2.AttemptStarted) -> str:
    resumed = f", from the checkpoint after epoch {fact.resumed_after_epoch}" if fact.resumed_after_epoch else ""
    return f"child {fact.child_id} attempt {fact.attempt} started on {describe_runtime(fact.runtime)}{resumed}"


def _epoch_completed(fact: event_pb2.EpochCompleted) -> str:
    result = fact.result
    return (
        f"child {fact.child_id} epoch {result.epoch}: training loss {result.training_loss:.4f}, "
        f"{validation_text(result.validation)}, {result.seconds:.1f} s, {result.images_per_second:.0f} images/s"
    )


def _child_succeeded(fact: event_pb2.ChildSucceeded) -> str:
    early = ", stopped early" if fact.is_stopped_early else ""
    kept = f"epoch {fact.best_epoch} of {fact.epoch_count} kept{early}"
    return f"child {fact.child_id} succeeded: {kept}, {validation_text(fact.evaluation)}"


def _attempt_lost(fact: event_pb2.AttemptLost) -> str:
    reason = word(search_pb2.LostReason, fact.reason)
    return f"child {fact.child_id} attempt {fact.attempt} lost: {reason}{_detail(fact.detail)}"


def _child_failed(fact: event_pb2.ChildFailed) -> str:
    return f"child {fact.child_id} failed: {word(search_pb2.FailureReason, fact.reason)}{_detail(fact.detail)}"


def _child_cancelled(fact: event_pb2.ChildCancelled) -> str:
    return f"child {fact.child_id} cancelled"


def _children_selected(fact: event_pb2.ChildrenSelected) -> str:
    choices = "; ".join(describe_choice(choice) for choice in fact.choices) or "no child"
    previous = f"; best before {percent(fact.previous_best)}" if fact.HasField("previous_best") else ""
    return f"iteration {fact.iteration} selected: {choices}{previous}; incumbent {fact.incumbent_id}"


def describe_choice(choice: search_pb2.Choice) -> str:
    """Say which child was chosen as what, by which rule, and what decided it."""
    role = word(search_pb2.Role, choice.role).upper()
    figures = f"{percent(choice.metric_value)}, {choice.param_count} parameters"
    return f"{role} {choice.child_id} ({figures}) by {word(search_pb2.Rule, choice.rule)}{_distance(choice)}"


def _distance(choice: search_pb2.Choice) -> str:
    """What separates a chosen child from the next in order."""
    if not choice.runner_up:
        return ", without a runner-up"
    if choice.tie_break != search_pb2.TIE_BREAK_NONE:
        return f", tied with {choice.runner_up}, decided by {TIE_BREAKS.get(choice.tie_break, str(choice.tie_break))}"
    if not choice.HasField("margin"):
        return f", before {choice.runner_up}"
    if choice.rule == search_pb2.RULE_FEWEST_PARAMETERS:
        return f", {count(round(choice.margin), 'parameter')} fewer than {choice.runner_up}"
    return f", {100 * choice.margin:.2f} points above {choice.runner_up}"


def _stopping_criterion_met(fact: event_pb2.StoppingCriterionMet) -> str:
    return f"no iteration after {fact.iteration}: {stop_reason(fact.reason)}"


def _finishing_started(fact: event_pb2.FinishingStarted) -> str:
    nets = "net of {} is" if len(fact.parent_ids) == 1 else "nets of {} are"
    return f"finishing started: the {nets.format(' and '.join(fact.parent_ids))} trained once more"


def _finishing_completed(fact: event_pb2.FinishingCompleted) -> str:
    return f"finishing completed: the winner is {fact.winner_id}"


def _time_budget_reached(fact: event_pb2.TimeBudgetReached) -> str:
    return "the time budget is used up"


def _cancel_requested(fact: event_pb2.CancelRequested) -> str:
    return f"cancellation requested by {fact.principal}" if fact.principal else "cancellation requested"


def _winner_evaluated(fact: event_pb2.WinnerEvaluated) -> str:
    others = [f"child {other.child_id} {accuracy_text(other.evaluation)}" for other in fact.others]
    beside = f"; beside it {', '.join(others)}" if others else ""
    return f"child {fact.child_id} evaluated on the test part: {validation_text(fact.evaluation, part='test')}{beside}"


def _search_succeeded(fact: event_pb2.SearchSucceeded) -> str:
    return f"search succeeded: the winner is {fact.winner_id}; {stop_reason(fact.reason)}"


def _search_failed(fact: event_pb2.SearchFailed) -> str:
    return f"search failed: {word(search_pb2.SearchFailure, fact.reason)}{_detail(fact.detail)}"


def _search_cancelled(fact: event_pb2.SearchCancelled) -> str:
    best = f"the best child so far is {fact.incumbent_id}" if fact.incumbent_id else "no child was trained"
    return f"search cancelled: {best}"


def _pause_requested(_: event_pb2.PauseRequested) -> str:
    return "pause requested: workers are writing their checkpoints"


def _search_paused(_: event_pb2.SearchPaused) -> str:
    return "search paused: nothing runs until it is resumed"


def _search_resumed(_: event_pb2.SearchResumed) -> str:
    return "search resumed"


def _search_deleted(_: event_pb2.SearchDeleted) -> str:
    return "search deleted"


def _detail(text: str) -> str:
    return f" ({text})" if text else ""


TIE_BREAKS: dict[int, str] = {
    search_pb2.TIE_BREAK_UNSPECIFIED: "an unknown rule",
    search_pb2.TIE_BREAK_NONE: "the rule itself",
    search_pb2.TIE_BREAK_PARAM_COUNT: "fewer parameters",
    search_pb2.TIE_BREAK_METRIC: "the higher metric",
    search_pb2.TIE_BREAK_CHILD_ID: "the earlier id",
}
"""What decided between two children, in words."""

SENTENCES: dict[str, Callable[[Any], str]] = {
    "search_started": _search_started,
    "iteration_started": _iteration_started,
    "child_proposed": _child_proposed,
    "transformation_skipped": _transformation_skipped,
    "attempt_launched": _attempt_launched,
    "attempt_started": _attempt_started,
    "epoch_completed": _epoch_completed,
    "child_succeeded": _child_succeeded,
    "attempt_lost": _attempt_lost,
    "child_failed": _child_failed,
    "child_cancelled": _child_cancelled,
    "children_selected": _children_selected,
    "stopping_criterion_met": _stopping_criterion_met,
    "time_budget_reached": _time_budget_reached,
    "cancel_requested": _cancel_requested,
    "winner_evaluated": _winner_evaluated,
    "search_succeeded": _search_succeeded,
    "search_failed": _search_failed,
    "search_cancelled": _search_cancelled,
    "pause_requested": _pause_requested,
    "search_paused": _search_paused,
    "search_resumed": _search_resumed,
    "search_deleted": _search_deleted,
    "finishing_started": _finishing_started,
    "finishing_completed": _finishing_completed,
}
"""A sentence for every fact of the API; a test holds it total."""
