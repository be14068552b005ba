# SPDX-License-Identifier: Apache-2.0
"""The facts of a search, both directions: one pair of functions a fact, one table that pairs them with the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nas.api.v1 import event_pb2 as pb
from nas.child import ChildId
from nas.operations import Operation
from nas.search import events
from nas.search.facts import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.transformations import SkipReason
from server.codec import assessments, enums, records, settings

FactT = TypeVar("FactT", bound=events.Event)


@dataclass(frozen=True, slots=True)
class FactCodec(Generic[FactT]):
    """How one fact travels: in which member of ``Event.fact``, and how it is written and read."""

    field: str
    domain: type[FactT]
    encode: Callable[[FactT], Any]
    decode: Callable[[Any], FactT]


def _id(message: Any, field: str = "child_id") -> ChildId:
    return records.decode_child_id(getattr(message, field), field)


def _optional_id(message: Any, field: str) -> ChildId | None:
    return _id(message, field) if getattr(message, field) else None


def _text(child_id: ChildId | None) -> str:
    return str(child_id) if child_id else ""


def _encode_search_started(fact: events.SearchStarted) -> pb.SearchStarted:
    return pb.SearchStarted(
        config=settings.encode_config(fact.config),
        request_id=fact.request_id,
        dataset=records.encode_dataset(fact.dataset),
        resources=records.encode_resources(fact.resources),
        warnings=fact.warnings,
        principal=fact.principal,
        software=fact.software,
    )


def _decode_search_started(message: pb.SearchStarted) -> events.SearchStarted:
    return events.SearchStarted(
        config=settings.decode_config(message.config),
        request_id=message.request_id,
        dataset=records.decode_dataset(message.dataset),
        resources=records.decode_resources(message.resources),
        warnings=tuple(message.warnings),
        principal=message.principal,
        software=message.software,
    )


def _encode_child_proposed(fact: events.ChildProposed) -> pb.ChildProposed:
    return pb.ChildProposed(
        child_id=str(fact.child_id),
        parent_id=_text(fact.parent_id),
        transformation=None if fact.transformation is None else records.encode_transformation(fact.transformation),
        architecture=records.encode_architecture(
            fact.architecture, graph_hash=fact.graph_hash, param_count=fact.param_count, flops=fact.flops
        ),
    )


def _decode_child_proposed(message: pb.ChildProposed) -> events.ChildProposed:
    has_transformation = message.HasField("transformation")
    return events.ChildProposed(
        child_id=_id(message),
        parent_id=_optional_id(message, "parent_id"),
        transformation=records.decode_transformation(message.transformation) if has_transformation else None,
        architecture=records.decode_notation(message.architecture.notation),
        graph_hash=message.architecture.graph_hash,
        param_count=message.architecture.param_count,
        flops=message.architecture.flops,
    )


def _encode_child_succeeded(fact: events.ChildSucceeded) -> pb.ChildSucceeded:
    return pb.ChildSucceeded(
        child_id=str(fact.child_id),
        attempt=fact.attempt,
        epoch_count=fact.epochs,
        best_epoch=fact.best_epoch,
        is_stopped_early=fact.is_stopped_early,
        evaluation=records.encode_evaluation(fact.evaluation),
        weights_sha256=fact.weights_sha256,
    )


def _decode_child_succeeded(message: pb.ChildSucceeded) -> events.ChildSucceeded:
    return events.ChildSucceeded(
        child_id=_id(message),
        attempt=message.attempt,
        epochs=message.epoch_count,
        best_epoch=message.best_epoch,
        is_stopped_early=message.is_stopped_early,
        evaluation=records.decode_evaluation(message.evaluation),
        weights_sha256=message.weights_sha256,
    )


def _encode_children_selected(fact: events.ChildrenSelected) -> pb.ChildrenSelected:
    return pb.ChildrenSelected(
        iteration=fact.iteration,
        choices=[records.encode_choice(choice) for choice in fact.choices],
        previous_best=fact.previous_best,
        incumbent_id=str(fact.incumbent),
    )


def _decode_children_selected(message: pb.ChildrenSelected) -> events.ChildrenSelected:
    return events.ChildrenSelected(
        iteration=message.iteration,
        choices=tuple(records.decode_choice(choice) for choice in message.choices),
        previous_best=message.previous_best if message.HasField("previous_best") else None,
        incumbent=_id(message, "incumbent_id"),
    )


def encode_skipped(fact: events.TransformationSkipped) -> pb.TransformationSkipped:
    """A skipped transformation; plans show it, too."""
    return pb.TransformationSkipped(
        child_id=str(fact.child_id),
        parent_id=str(fact.parent_id),
        operation=enums.encode(fact.operation),
        reason=enums.encode(fact.reason),
    )


FACTS: tuple[FactCodec[Any], ...] = (
    FactCodec("search_started", events.SearchStarted, _encode_search_started, _decode_search_started),
    FactCodec(
        "iteration_started",
        events.IterationStarted,
        lambda f: pb.IterationStarted(iteration=f.iteration, parent_ids=[str(p) for p in f.parents]),
        lambda m: events.IterationStarted(
            iteration=m.iteration, parents=tuple(records.decode_child_id(text, "parent_ids") for text in m.parent_ids)
        ),
    ),
    FactCodec("child_proposed", events.ChildProposed, _encode_child_proposed, _decode_child_proposed),
    FactCodec(
        "transformation_skipped",
        events.TransformationSkipped,
        encode_skipped,
        lambda m: events.TransformationSkipped(
            child_id=_id(m),
            parent_id=_id(m, "parent_id"),
            operation=enums.decode(Operation, m.operation),
            reason=enums.decode(SkipReason, m.reason),
        ),
    ),
    FactCodec(
        "attempt_launched",
        events.AttemptLaunched,
        lambda f: pb.AttemptLaunched(child_id=str(f.child_id), attempt=f.attempt, kind=enums.encode(f.kind)),
        lambda m: events.AttemptLaunched(child_id=_id(m), attempt=m.attempt, kind=enums.decode(AttemptKind, m.kind)),
    ),
    FactCodec(
        "attempt_started",
        events.AttemptStarted,
        lambda f: pb.AttemptStarted(
            child_id=str(f.child_id),
            attempt=f.attempt,
            runtime=records.encode_runtime(f.runtime),
            resumed_after_epoch=f.resumed_after_epoch,
        ),
        lambda m: events.AttemptStarted(
            child_id=_id(m),
            attempt=m.attempt,
            runtime=records.decode_runtime(m.runtime),
            resumed_after_epoch=m.resumed_after_epoch,
        ),
    ),
    FactCodec(
        "epoch_completed",
        events.EpochCompleted,
        lambda f: pb.EpochCompleted(child_id=str(f.child_id), attempt=f.attempt, result=records.encode_epoch(f.result)),
        lambda m: events.EpochCompleted(child_id=_id(m), attempt=m.attempt, result=records.decode_epoch(m.result)),
    ),
    FactCodec("child_succeeded", events.ChildSucceeded, _encode_child_succeeded, _decode_child_succeeded),
    FactCodec(
        "attempt_lost",
        events.AttemptLost,
        lambda f: pb.AttemptLost(
            child_id=str(f.child_id), attempt=f.attempt, reason=enums.encode(f.reason), detail=f.detail
        ),
        lambda m: events.AttemptLost(
            child_id=_id(m),
            attempt=m.attempt,
            reason=enums.decode(LostReason, m.reason),
            detail=m.detail,
        ),
    ),
    FactCodec(
        "child_failed",
        events.ChildFailed,
        lambda f: pb.ChildFailed(
            child_id=str(f.child_id), attempt=f.attempt, reason=enums.encode(f.reason), detail=f.detail
        ),
        lambda m: events.ChildFailed(
            child_id=_id(m),
            attempt=m.attempt,
            reason=enums.decode(FailureReason, m.reason),
            detail=m.detail,
        ),
    ),
    FactCodec(
        "child_cancelled",
        events.ChildCancelled,
        lambda f: pb.ChildCancelled(child_id=str(f.child_id)),
        lambda m: events.ChildCancelled(child_id=_id(m)),
    ),
    FactCodec("children_selected", events.ChildrenSelected, _encode_children_selected, _decode_children_selected),
    FactCodec(
        "stopping_criterion_met",
        events.StoppingCriterionMet,
        lambda f: pb.StoppingCriterionMet(reason=enums.encode(f.reason), iteration=f.iteration),
        lambda m: events.StoppingCriterionMet(reason=enums.decode(StopReason, m.reason), iteration=m.iteration),
    ),
    FactCodec(
        "time_budget_reached",
        events.TimeBudgetReached,
        lambda f: pb.TimeBudgetReached(),
        lambda m: events.TimeBudgetReached(),
    ),
    FactCodec(
        "cancel_requested",
        events.CancelRequested,
        lambda f: pb.CancelRequested(principal=f.principal),
        lambda m: events.CancelRequested(principal=m.principal),
    ),
    FactCodec(
        "winner_evaluated",
        events.WinnerEvaluated,
        assessments.encode_winner_evaluated,
        assessments.decode_winner_evaluated,
    ),
    FactCodec(
        "search_succeeded",
        events.SearchSucceeded,
        lambda f: pb.SearchSucceeded(reason=enums.encode(f.reason), winner_id=str(f.winner)),
        lambda m: events.SearchSucceeded(reason=enums.decode(StopReason, m.reason), winner=_id(m, "winner_id")),
    ),
    FactCodec(
        "search_failed",
        events.SearchFailed,
        lambda f: pb.SearchFailed(reason=enums.encode(f.reason), detail=f.detail),
        lambda m: events.SearchFailed(reason=enums.decode(SearchFailure, m.reason), detail=m.detail),
    ),
    FactCodec(
        "search_cancelled",
        events.SearchCancelled,
        lambda f: pb.SearchCancelled(incumbent_id=_text(f.incumbent)),
        lambda m: events.SearchCancelled(incumbent=_optional_id(m, "incumbent_id")),
    ),
    FactCodec(
        "pause_requested",
        events.PauseRequested,
        lambda f: pb.PauseRequested(principal=f.principal),
        lambda m: events.PauseRequested(principal=m.principal),
    ),
    FactCodec("search_paused", events.SearchPaused, lambda _: pb.SearchPaused(), lambda _: events.SearchPaused()),
    FactCodec(
        "search_resumed",
        events.SearchResumed,
        lambda f: pb.SearchResumed(principal=f.principal),
        lambda m: events.SearchResumed(principal=m.principal),
    ),
    FactCodec(
        "search_deleted",
        events.SearchDeleted,
        lambda f: pb.SearchDeleted(principal=f.principal),
        lambda m: events.SearchDeleted(principal=m.principal),
    ),
)
"""Every fact, in the order of the wire's numbers."""
