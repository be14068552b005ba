# SPDX-License-Identifier: Apache-2.0
"""The real trainer: reads the data, runs ``fit``, reports its epochs and keeps the best weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from nas.data import DatasetError
from nas.search import commands
from nas.search.reasons import AttemptKind, FailureReason, LostReason
from nas.training import (
    BEST_WEIGHTS,
    Diverged,
    FitOutcome,
    Interrupted,
    Trained,
    TrainingError,
    find_resumed_epoch,
    fit,
    move_durably,
)
from server.codec.lines import WorkerRequest
from server.crash_points import reach
from server.worker.dataset import DataChangedError, load_training_data
from server.worker.requests import make_fit_request, report_started
from server.worker.signs import Signs


def run(request: WorkerRequest, signs: Signs, stop: threading.Event) -> Iterator[commands.Report]:
    """Train a child until it is done or ``stop`` is set; or evaluate the winner, which ``stop`` does not interrupt."""
    try:
        if request.kind is AttemptKind.TRAINING:
            yield from _train(request, signs, stop)
        else:
            from server.worker.testing import evaluate  # with scikit-learn, which takes more than a second

            yield from evaluate(request, signs)
    except (DatasetError, DataChangedError, TrainingError) as error:
        yield commands.ReportFailed(
            child_id=request.child_id, attempt=request.attempt, reason=FailureReason.REJECTED, detail=str(error)
        )


def _train(request: WorkerRequest, signs: Signs, stop: threading.Event) -> Iterator[commands.Report]:
    data = load_training_data(request, signs)
    fit_request = make_fit_request(request)
    resumed = find_resumed_epoch(fit_request, data)
    yield report_started(request, resumed_after_epoch=resumed)
    # Reported are the epochs that the journal lacks, and those that are trained again because their checkpoint is gone:
    # of several reports of one epoch the last one counts.
    known = min(request.epochs_recorded, resumed)
    epochs = fit(fit_request, data, signs, stop.is_set, signs.checkpoint)
    while True:
        try:
            result = next(epochs)
        except StopIteration as end:
            outcome = end.value
            break
        if result.epoch > known:
            yield commands.ReportEpoch(child_id=request.child_id, attempt=request.attempt, result=result)
    if isinstance(outcome, Trained):
        _keep_weights(request)
    yield _outcome(request, outcome)


def _outcome(request: WorkerRequest, outcome: FitOutcome) -> commands.Report:
    child_id, attempt = request.child_id, request.attempt
    match outcome:
        case Trained():
            return commands.ReportTrained(
                child_id=child_id,
                attempt=attempt,
                epochs=outcome.epochs,
                best_epoch=outcome.best_epoch,
                is_stopped_early=outcome.stopped_early,
                evaluation=outcome.evaluation,
                weights_sha256=outcome.weights_sha256,
            )
        case Diverged(detail=detail):
            return commands.ReportFailed(
                child_id=child_id, attempt=attempt, reason=FailureReason.DIVERGED, detail=detail
            )
        case Interrupted(epoch=epoch, steps=steps):
            detail = f"interrupted; epoch {epoch} goes on after step {steps}"
            return commands.ReportLost(child_id=child_id, attempt=attempt, reason=LostReason.PREEMPTED, detail=detail)
        case _:
            assert_never(outcome)


def _keep_weights(request: WorkerRequest) -> None:
    """Move the best weights out of the folder of checkpoints, durably and before they are reported."""
    target = Path(request.weights_path)
    reach("weights.before_rename")
    move_durably(Path(request.checkpoint_dir) / BEST_WEIGHTS, target, root=target.parents[3])  # the state folder
    reach("weights.after_rename")
