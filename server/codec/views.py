# SPDX-License-Identifier: Apache-2.0
"""What the API shows of a search and its children: read models, built from the state on request."""

from __future__ import annotations

from dataclasses import dataclass

from nas.api.v1 import search_pb2 as pb
from nas.search.digest import digest
from nas.search.state import Child, ChildState, Search
from nas.shapes import summarise
from server.codec import assessments, enums, records, settings
from server.codec.envelope import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchView:
    """A search with its place in the journal.

    Attributes:
        created_ns, updated_ns: wall clock of the first and the last event, nanoseconds since the epoch.
        running_seconds: time in which an attempt was running.
        is_disk_full: whether the search waits for disk space.
        is_queued: whether it waits for a worker.
    """

    search_id: str
    search: Search
    sequence: int
    created_ns: int
    updated_ns: int
    running_seconds: float
    is_disk_full: bool = False
    is_queued: bool = False


def pause_reason(view: SearchView) -> pb.PauseReason.ValueType:
    """Why a search does not get on although nobody has asked it to wait."""
    if view.search.state.is_terminal:
        return pb.PAUSE_REASON_UNSPECIFIED
    if view.is_disk_full:
        return pb.PAUSE_REASON_DISK_FULL
    return pb.PAUSE_REASON_NO_FREE_WORKER if view.is_queued else pb.PAUSE_REASON_UNSPECIFIED


def encode_search(view: SearchView, *, is_full: bool) -> pb.Search:
    """A search; the digest only where one search is asked for."""
    search = view.search
    started = search.started
    states = [child.state for child in search.children.values()]
    incumbent = search.incumbent
    message = pb.Search(
        search_id=view.search_id,
        state=enums.encode(search.state),
        config=settings.encode_config(search.config),
        dataset=records.encode_dataset(started.dataset),
        resources=records.RESOURCES.encode(started.resources),
        request_id=started.request_id,
        principal=started.principal,
        warnings=started.warnings,
        iteration=search.iteration,
        child_count=sum(child_id.iteration > 0 for child_id in search.children),
        succeeded_count=states.count(ChildState.SUCCEEDED),
        failed_count=states.count(ChildState.FAILED),
        failure_detail=search.failure_detail,
        sequence=view.sequence,
        create_time=timestamp(view.created_ns),
        update_time=timestamp(view.updated_ns),
        running_time=records.encode_duration(view.running_seconds),
    )
    message.finishing_ids.extend(str(child.child_id) for child in search.finishing_children)
    message.pause_reason = pause_reason(view)
    if incumbent is not None:
        message.incumbent.CopyFrom(encode_child(incumbent))
    if search.assessed:
        message.test_evaluation.CopyFrom(records.encode_evaluation(search.assessed[0].evaluation))
    if search.stop is not None:
        message.stop_reason = enums.encode(search.stop)
    if search.failure is not None:
        message.failure_reason = enums.encode(search.failure)
    if search.state.is_terminal:
        message.end_time.CopyFrom(timestamp(view.updated_ns))
    if is_full:
        message.digest = digest(search)
        message.assessed.extend(assessments.ASSESSED.encode(assessed) for assessed in search.assessed)
    return message


def encode_child(child: Child) -> pb.Child:
    """A child without layers and epochs."""
    message = pb.Child(
        child_id=str(child.child_id),
        parent_id=str(child.parent_id) if child.parent_id else "",
        transformation=None if child.transformation is None else records.encode_transformation(child.transformation),
        architecture=records.encode_architecture(
            child.architecture, graph_hash=child.graph_hash, param_count=child.param_count, flops=child.flops
        ),
        state=enums.encode(child.state),
        attempts=child.attempts,
        lost_attempts=child.lost_attempts,
        runtime=None if child.runtime is None else records.encode_runtime(child.runtime),
        epoch_count=len(child.epochs),
        best_epoch=child.best_epoch,
        is_stopped_early=child.is_stopped_early,
        evaluation=None if child.evaluation is None else records.encode_evaluation(child.evaluation),
        weights_sha256=child.weights_sha256,
        failure_detail=child.failure_detail,
    )
    if child.failure is not None:
        message.failure_reason = enums.encode(child.failure)
    return message


def encode_child_in_full(child: Child, search: Search) -> pb.Child:
    """A child with its layers and epochs."""
    message = encode_child(child)
    message.epochs.extend(records.EPOCH.encode(result) for result in child.epochs)
    message.architecture.CopyFrom(
        records.encode_architecture(
            child.architecture,
            graph_hash=child.graph_hash,
            param_count=child.param_count,
            flops=child.flops,
            layers=summarise(child.architecture, search.started.dataset.shape),
        )
    )
    return message
