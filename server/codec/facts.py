# SPDX-License-Identifier: Apache-2.0
"""How each fact of a search is written as a message and read again: one table of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nas.api.v1 import event_pb2 as pb
from nas.assessment import Assessed, Assessment
from nas.child import EpochResult, Evaluation
from nas.config import SearchConfig
from nas.search import events
from nas.search.conditions import DatasetSummary, Resources, Runtime
from nas.selection import Choice
from server.codec import records, settings
from server.codec.assessments import ASSESSED, ASSESSMENT
from server.codec.enums import snake_case
from server.codec.mirror import Codec, Codecs, decode_child_id, mirror

FactT = TypeVar("FactT", bound=events.Event)


@dataclass(frozen=True, slots=True)
class FactCodec(Generic[FactT]):
    """How one fact travels: in which member of ``Event.fact``, and how it is written and read."""

    field: str
    domain: type[FactT]
    encode: Callable[[FactT], Any]
    decode: Callable[[Any], FactT]


_RECORDS: Codecs = {
    SearchConfig: Codec(settings.encode_journaled, settings.decode_journaled),
    DatasetSummary: records.DATASET,
    Resources: records.RESOURCES,
    Runtime: records.RUNTIME,
    EpochResult: records.EPOCH,
    Evaluation: records.EVALUATION,
    Choice: records.CHOICE,
    Assessment: ASSESSMENT,
    Assessed: ASSESSED,
}


def _fact(domain: type[FactT], **renamed: str) -> FactCodec[FactT]:
    """Pair a fact with the message of the same name and its member of ``Event.fact``."""
    codec = mirror(domain, getattr(pb, domain.__name__), _RECORDS, **renamed)
    return FactCodec(snake_case(domain.__name__), domain, codec.encode, codec.decode)


def _encode_child_proposed(fact: events.ChildProposed) -> pb.ChildProposed:
    return pb.ChildProposed(
        child_id=str(fact.child_id),
        parent_id=str(fact.parent_id) if fact.parent_id else "",
        transformation=None if fact.transformation is None else records.encode_transformation(fact.transformation),
        architecture=records.encode_architecture(
            fact.architecture, graph_hash=fact.graph_hash, param_count=fact.param_count, flops=fact.flops
        ),
    )


def _decode_child_proposed(message: pb.ChildProposed) -> events.ChildProposed:
    has_transformation = message.HasField("transformation")
    return events.ChildProposed(
        child_id=decode_child_id(message.child_id, "child_id"),
        parent_id=decode_child_id(message.parent_id, "parent_id") if message.parent_id else None,
        transformation=records.decode_transformation(message.transformation) if has_transformation else None,
        architecture=records.decode_notation(message.architecture.notation),
        graph_hash=message.architecture.graph_hash,
        param_count=message.architecture.param_count,
        flops=message.architecture.flops,
    )


_SKIPPED = _fact(events.TransformationSkipped)
encode_skipped = _SKIPPED.encode
"""A skipped transformation; plans show it, too."""

FACTS: tuple[FactCodec[Any], ...] = (
    _fact(events.SearchStarted),
    _fact(events.IterationStarted, parents="parent_ids"),
    FactCodec("child_proposed", events.ChildProposed, _encode_child_proposed, _decode_child_proposed),
    _SKIPPED,
    _fact(events.AttemptLaunched),
    _fact(events.AttemptStarted),
    _fact(events.EpochCompleted),
    _fact(events.ChildSucceeded, epochs="epoch_count"),
    _fact(events.AttemptLost),
    _fact(events.ChildFailed),
    _fact(events.ChildCancelled),
    _fact(events.ChildrenSelected, incumbent="incumbent_id"),
    _fact(events.StoppingCriterionMet),
    _fact(events.TimeBudgetReached),
    _fact(events.CancelRequested),
    _fact(events.WinnerEvaluated),
    _fact(events.SearchSucceeded, winner="winner_id"),
    _fact(events.SearchFailed),
    _fact(events.SearchCancelled, incumbent="incumbent_id"),
    _fact(events.PauseRequested),
    _fact(events.SearchPaused),
    _fact(events.SearchResumed),
    _fact(events.SearchDeleted),
    _fact(events.FinishingStarted, parents="parent_ids"),
    _fact(events.FinishingCompleted, winner="winner_id"),
)
"""Every fact, in the order of the wire's numbers."""
