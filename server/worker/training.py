# SPDX-License-Identifier: Apache-2.0
"""The real trainer: data, ``fit``, weights in their place, reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from nas.data import CachedDataset, DatasetError, Split, prepare, split
from nas.notation import parse_notation
from nas.search import commands
from nas.search.facts import AttemptKind, FailureReason
from nas.training import (
    BEST_WEIGHTS,
    Diverged,
    FitRequest,
    TrainingData,
    TrainingError,
    evaluate_weights,
    fit,
    latest_checkpoint_epoch,
    resolve_runtime,
)
from server.codec.lines import WorkerRequest
from server.crash_points import reach


class DataChangedError(Exception):
    """The data is no longer what the search was started with."""


def run(request: WorkerRequest, on_step: Callable[[], None]) -> Iterator[commands.Report]:
    """Train a child or evaluate the winner."""
    try:
        attempt = _train if request.kind is AttemptKind.TRAINING else _evaluate
        yield from attempt(request, on_step)
    except (DatasetError, DataChangedError, TrainingError) as error:
        yield commands.ReportFailed(
            child_id=request.child_id, attempt=request.attempt, reason=FailureReason.REJECTED, detail=str(error)
        )


def _train(request: WorkerRequest, on_step: Callable[[], None]) -> Iterator[commands.Report]:
    dataset, parts = _load(request)
    data = TrainingData(
        train_images=dataset.images_NCHW[parts.train],
        train_labels=dataset.labels_N[parts.train],
        validation_images=dataset.images_NCHW[parts.validation],
        validation_labels=dataset.labels_N[parts.validation],
    )
    yield _started(request, resumed_after_epoch=latest_checkpoint_epoch(Path(request.checkpoint_dir)))
    epochs = fit(_fit_request(request), data, on_step)
    while True:
        try:
            result = next(epochs)
        except StopIteration as stop:
            outcome = stop.value
            break
        if result.epoch > request.epochs_recorded:
            yield commands.ReportEpoch(child_id=request.child_id, attempt=request.attempt, result=result)
    if isinstance(outcome, Diverged):
        yield commands.ReportFailed(
            child_id=request.child_id,
            attempt=request.attempt,
            reason=FailureReason.DIVERGED,
            detail=outcome.detail,
        )
        return
    _keep_weights(request)
    yield commands.ReportTrained(
        child_id=request.child_id,
        attempt=request.attempt,
        epochs=outcome.epochs,
        best_epoch=outcome.best_epoch,
        is_stopped_early=outcome.stopped_early,
        evaluation=outcome.evaluation,
        weights_sha256=outcome.weights_sha256,
    )


def _evaluate(request: WorkerRequest, on_step: Callable[[], None]) -> Iterator[commands.Report]:
    """The only place that reads the test part."""
    dataset, parts = _load(request)
    yield _started(request, resumed_after_epoch=0)
    evaluation = evaluate_weights(
        _fit_request(request),
        Path(request.weights_path),
        request.weights_sha256,
        dataset.images_NCHW[parts.test],
        dataset.labels_N[parts.test],
        on_step,
    )
    yield commands.ReportEvaluated(child_id=request.child_id, attempt=request.attempt, evaluation=evaluation)


def _load(request: WorkerRequest) -> tuple[CachedDataset, Split]:
    """Open the data and make sure that it is the search's."""
    dataset = prepare(
        request.dataset,
        data_root=Path(request.data_root) if request.data_root is not None else None,
        cache_dir=Path(request.cache_dir),
        input_size=request.input_size,
    )
    parts = split(dataset, seed=request.search_seed, train_limit=request.train_limit)
    if (dataset.fingerprint, parts.fingerprint) != (request.fingerprint, request.split_fingerprint):
        raise DataChangedError(
            f"data set {request.dataset!r} has changed since the search was started; "
            "put the old files back or start a new search"
        )
    return dataset, parts


def _started(request: WorkerRequest, *, resumed_after_epoch: int) -> commands.ReportStarted:
    return commands.ReportStarted(
        child_id=request.child_id,
        attempt=request.attempt,
        runtime=resolve_runtime(request.training, request.threads),
        resumed_after_epoch=resumed_after_epoch,
    )


def _fit_request(request: WorkerRequest) -> FitRequest:
    return FitRequest(
        architecture=parse_notation(request.notation),
        input_shape=request.shape,
        training=request.training,
        search_seed=request.search_seed,
        child_id=request.child_id,
        threads=request.threads,
        checkpoint_dir=Path(request.checkpoint_dir),
    )


def _keep_weights(request: WorkerRequest) -> None:
    """Move the best weights to where they outlive the checkpoints; durable before anybody is told."""
    target = Path(request.weights_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    reach("weights.before_rename")
    os.replace(Path(request.checkpoint_dir) / BEST_WEIGHTS, target)
    reach("weights.after_rename")
    for folder in (target.parent, target.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
