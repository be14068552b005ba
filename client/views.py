# SPDX-License-Identifier: Apache-2.0
"""Whole records as text: a search, its closing summary, its children, a child, a plan; all pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from client.assessment import found_sentence, neighbours_text
from client.phrases import (
    accuracy_text,
    baseline_text,
    block_name,
    describe_origin,
    describe_runtime,
    describe_state,
    finishing_length,
    fold_text,
    images_text,
    part_sizes,
    patients_text,
    settings_text,
    short_dataset,
    stop_reason,
    validation_text,
)
from client.text import binary_size, clock, count, fields, moment, percent, table, word, wrap
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2
from nas.recipe import planned_epochs
from nas.text import escape

_FAILURES: dict[int, str] = {
    search_pb2.SEARCH_FAILURE_NO_VALID_CHILDREN: "nothing was trained successfully",
    search_pb2.SEARCH_FAILURE_EVALUATION_FAILED: "the winner could not be evaluated on the test part",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a view is read.

    Attributes:
        columns: of the terminal, between whose edges lines are broken; None for a file or a pipe.
        state_dir: of the server, if it is one's own; its files can be named in full.
    """

    columns: int | None = None
    state_dir: Path | None = None


_ANYWHERE = Place()


def search_view(search: search_pb2.Search, place: Place = _ANYWHERE) -> str:
    """Print a search, whether it has ended or not."""
    pairs = (*_settings_fields(search), *_progress_fields(search), *_result_fields(search, place.state_dir))
    return fields(pairs, place.columns)


def closing_summary(search: search_pb2.Search, place: Place = _ANYWHERE) -> str:
    """Print what came out of a search that has ended."""
    state = word(search_pb2.Search.State, search.state)
    sentence = f"Search {search.search_id} {state} after {clock(search.running_time)}: {_why_over(search)}."
    opening = wrap(escape(sentence), place.columns)
    results = list(_result_fields(search, place.state_dir))
    parts = [opening, *([fields(results, place.columns)] if results else [])]
    if search.state == search_pb2.Search.STATE_SUCCEEDED and search.HasField("test_evaluation"):
        parts.append(wrap(found_sentence(search), place.columns))
    return "\n".join(parts)


def search_table(searches: Iterable[search_pb2.Search]) -> str:
    """Print one search a line."""
    headings = ("SEARCH", "STATE", "DATASET", "BLOCK", "ITER", "ACCURACY", "STARTED")
    rows = [
        (
            search.search_id,
            _state(search),
            short_dataset(search.config.dataset),
            block_name(search.config.block),
            str(search.iteration),
            percent(search.incumbent.evaluation.accuracy) if search.HasField("incumbent") else "-",
            moment(search.create_time),
        )
        for search in searches
    ]
    return table(headings, rows, right=frozenset({"ITER", "ACCURACY"}))


def child_table(children: Iterable[search_pb2.Child]) -> str:
    """Print one child a line."""
    headings = ("CHILD", "STATE", "ORIGIN", "PARAMETERS", "EPOCHS", "LOSS", "ACCURACY")
    rows = [
        (
            child.child_id,
            word(search_pb2.Child.State, child.state),
            describe_origin(child),
            str(child.architecture.param_count),
            str(child.epoch_count),
            f"{child.evaluation.loss:.4f}" if child.HasField("evaluation") else "-",
            percent(child.evaluation.accuracy) if child.HasField("evaluation") else "-",
        )
        for child in children
    ]
    return table(headings, rows, right=frozenset({"PARAMETERS", "EPOCHS", "LOSS", "ACCURACY"}))


def child_view(child: search_pb2.Child) -> str:
    """Print a child with its layers and epochs."""
    pairs = [
        ("child", child.child_id),
        ("state", word(search_pb2.Child.State, child.state)),
        ("origin", describe_origin(child)),
        ("notation", child.architecture.notation),
        ("attempts", f"{child.attempts}, {child.lost_attempts} lost"),
    ]
    if child.HasField("runtime"):
        hardware = f" ({child.runtime.hardware})" if child.runtime.hardware else ""
        pairs.append(("ran on", f"{describe_runtime(child.runtime)}{hardware}"))
    if child.failure_reason:
        reason = word(search_pb2.FailureReason, child.failure_reason)
        pairs.append(("failure", f"{reason}: {child.failure_detail}"))
    if child.HasField("evaluation"):
        early = ", stopped early" if child.is_stopped_early else ""
        pairs.append(("kept", f"epoch {child.best_epoch} of {child.epoch_count}{early}"))
        pairs.append(("result", validation_text(child.evaluation)))
    parts = [fields(pairs), layer_table(child.architecture)]
    if child.epochs:
        parts.append(_epoch_table(child.epochs))
    return "\n\n".join(parts)


def layer_table(architecture: search_pb2.Architecture) -> str:
    """Print one layer a line and the sums in the last."""
    headings = ("POSITION", "LAYER", "OUTPUT", "PARAMETERS", "FLOPS")
    rows = [
        (
            str(layer.position),
            layer.notation,
            "x".join(str(size) for size in layer.output_shape),
            str(layer.param_count),
            str(layer.flops),
        )
        for layer in architecture.layers
    ]
    layers = table(headings, rows, right=frozenset({"POSITION", "PARAMETERS", "FLOPS"}))
    return f"{layers}\ntotal: {architecture.param_count} parameters, {architecture.flops} FLOPs an image"


def plan_view(plan: search_service_pb2.Plan) -> str:
    """Print what a search would begin with."""
    resources = plan.resources
    memory = binary_size(resources.memory_limit_bytes) if resources.memory_limit_bytes else "no limit"
    head = fields(
        (
            ("dataset", f"{plan.config.dataset}: {part_sizes(plan.dataset)}"),
            ("divided", patients_text(plan.dataset) + fold_text(plan.config)),
            ("block", block_name(plan.config.block)),
            *_images_fields(plan.config),
            ("limits", _limits(plan.config, plan.dataset)),
            *_finishing_fields(plan),
            ("each worker", f"{count(resources.threads, 'thread')}, memory {memory}"),
            ("disk", f"at most {binary_size(plan.disk_bytes)} for weights and checkpoints of one iteration"),
        )
    )
    children = [_planned_child(planned) for planned in plan.children]
    return "\n\n".join((head, *children, *_skipped(plan.skipped)))


def _images_fields(config: search_pb2.SearchConfig) -> Iterator[tuple[str, str]]:
    if chosen := images_text(config.training):
        yield "images", chosen


def _finishing_fields(plan: search_service_pb2.Plan) -> Iterator[tuple[str, str]]:
    """How many nets would be finished and how long that would take, in trainings of a child."""
    images = sum(plan.dataset.train_counts)
    epochs = finishing_length(plan.config, images)
    if epochs:
        nets = 2 if plan.config.max_iterations else 1
        trainings = nets * epochs / planned_epochs(plan.config.training, images)
        yield (
            "finishing",
            f"at most {count(nets, 'net')}, {count(epochs, 'epoch')} each: as long as {trainings:.0f} trainings "
            "in the search; the time budget includes it",
        )


def _planned_child(planned: search_service_pb2.PlannedChild) -> str:
    child = planned.child
    net = child.architecture
    opening = (
        f"child {child.child_id}: {describe_origin(child)}, {net.param_count} parameters, {net.flops} FLOPs an image"
    )
    memory = f"at most {binary_size(planned.memory_bytes)} of memory to train"
    return f"{escape(opening)}\n{memory}\n{escape(net.notation)}\n{layer_table(net)}"


def _skipped(skipped: Iterable[event_pb2.TransformationSkipped]) -> Iterator[str]:
    for skip in skipped:
        operation = word(search_pb2.Operation, skip.operation).replace(" ", "_")
        reason = word(search_pb2.SkipReason, skip.reason)
        yield escape(f"child {skip.child_id} would be skipped: {operation} of {skip.parent_id}, {reason}")


def _epoch_table(epochs: Iterable[search_pb2.EpochResult]) -> str:
    headings = ("EPOCH", "TRAINING LOSS", "VALIDATION LOSS", "ACCURACY", "SECONDS", "IMAGES/S")
    rows = [
        (
            str(result.epoch),
            f"{result.training_loss:.4f}",
            f"{result.validation.loss:.4f}",
            percent(result.validation.accuracy),
            f"{result.seconds:.1f}",
            f"{result.images_per_second:.0f}",
        )
        for result in epochs
    ]
    return table(headings, rows, right=frozenset(headings))


def _settings_fields(search: search_pb2.Search) -> Iterator[tuple[str, str]]:
    config = search.config
    yield "search", search.search_id
    yield "state", _state(search)
    yield "dataset", f"{config.dataset}: {part_sizes(search.dataset)}"
    yield "divided", patients_text(search.dataset) + fold_text(config)
    yield "block", block_name(config.block)
    yield "settings", settings_text(config)
    yield "limits", _limits(config, search.dataset)


def _limits(config: search_pb2.SearchConfig, dataset: search_pb2.DatasetSummary) -> str:
    budget = clock(config.time_budget) if config.time_budget.seconds else "none"
    iterations = count(config.max_iterations, "iteration")
    epochs = planned_epochs(config.training, sum(dataset.train_counts))
    finishing = finishing_length(config, sum(dataset.train_counts))
    more = f", {count(finishing, 'epoch')} more a net at the end" if finishing else ""
    return f"{iterations}, {count(epochs, 'epoch')} a child{more}, time budget {budget}"


def _state(search: search_pb2.Search) -> str:
    """The state of a search, and its stage if that is not the search itself."""
    is_finishing = bool(search.finishing_ids) and not search.HasField("end_time")
    return describe_state(search.state, search.pause_reason) + (", finishing" if is_finishing else "")


def _progress_fields(search: search_pb2.Search) -> Iterator[tuple[str, str]]:
    counts = f"{search.child_count} proposed, {search.succeeded_count} succeeded, {search.failed_count} failed"
    yield "iteration", str(search.iteration)
    yield "children", counts
    if search.finishing_ids:
        epochs = finishing_length(search.config, sum(search.dataset.train_counts))
        length = f", {count(epochs, 'epoch')} each" if epochs else ""
        yield "finishing", " and ".join(search.finishing_ids) + length
    yield "started", moment(search.create_time)
    if search.HasField("end_time"):
        yield "ended", moment(search.end_time)
    yield "running time", clock(search.running_time)
    if search.stop_reason or search.failure_reason:
        yield "why it stopped", _why_over(search)


def _why_over(search: search_pb2.Search) -> str:
    match search.state:
        case search_pb2.Search.STATE_FAILED:
            reason = _FAILURES.get(search.failure_reason) or word(search_pb2.SearchFailure, search.failure_reason)
            return f"{reason} ({search.failure_detail.rstrip('.')})" if search.failure_detail else reason
        case search_pb2.Search.STATE_CANCELLED:
            return "somebody asked for it"
        case _:
            return stop_reason(search.stop_reason)


def _result_fields(search: search_pb2.Search, state_dir: Path | None) -> Iterator[tuple[str, str]]:
    if not search.HasField("incumbent"):
        return
    child = search.incumbent
    name = "winner" if search.state == search_pb2.Search.STATE_SUCCEEDED else "best so far"
    yield name, f"{child.child_id}, {describe_origin(child)}"
    yield "notation", child.architecture.notation
    yield "parameters", str(child.architecture.param_count)
    yield "validation accuracy", _accuracies(child.evaluation)
    if search.HasField("test_evaluation"):
        yield "test accuracy", _accuracies(search.test_evaluation)
        yield "commonest class", f"{baseline_text(search.test_evaluation)} by always answering it"
    if neighbours := neighbours_text(search):
        yield "nearest neighbours", neighbours
    if child.weights_sha256:
        path = f"searches/{search.search_id}/weights/{child.child_id}.safetensors"
        yield "weights", f"in the server's state folder, {path}" if state_dir is None else str(state_dir / path)


def _accuracies(evaluation: search_pb2.Evaluation) -> str:
    return f"{accuracy_text(evaluation)}, balanced accuracy {percent(evaluation.balanced_accuracy)}"
