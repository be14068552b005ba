# SPDX-License-Identifier: Apache-2.0
"""A trainer that computes nothing and waits instead: it tests the real worker process without torch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from nas.assessment import Assessed
from nas.child import EpochResult
from nas.config import Device, Precision
from nas.recipe import planned_epochs
from nas.search import commands
from nas.search.conditions import Runtime
from nas.search.reasons import AttemptKind, LostReason
from nas.search.simulation import simulate_epoch, simulated_weights
from server.codec.lines import WorkerRequest
from server.crash_points import reach
from server.worker.faults import commit_fault
from server.worker.signs import Signs


def run(request: WorkerRequest, signs: Signs, stop: threading.Event) -> Iterator[commands.Report]:
    """Report as a training or a test evaluation would, until ``stop`` is set."""
    yield commands.ReportStarted(
        child_id=request.child_id,
        attempt=request.attempt,
        runtime=Runtime(
            device=Device.CPU,
            precision=Precision.FP32,
            threads=request.threads,
            hardware="simulated",
            versions=(),
        ),
        resumed_after_epoch=request.epochs_recorded,
    )
    if request.kind is AttemptKind.TRAINING:
        yield from _train(request, stop)
    elif stop.wait(request.epoch_seconds):
        yield _preempted(request)
    else:
        yield _evaluated(request)


def _train(request: WorkerRequest, stop: threading.Event) -> Iterator[commands.Report]:
    epochs = planned_epochs(request.training, request.train_images)
    for epoch in range(request.epochs_recorded + 1, epochs + 1):
        if stop.wait(request.epoch_seconds):
            yield _preempted(request)
            return
        result = commit_fault(request.child_id, request.attempt, _simulate(request, epoch))
        yield commands.ReportEpoch(child_id=request.child_id, attempt=request.attempt, result=result)
    content = simulated_weights(search_seed=request.data.seed, graph_hash=request.graph_hash)
    path = Path(request.weights_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(request.checkpoint_dir) / path.name  # goes with the checkpoints if this process is killed
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content)
    reach("weights.before_rename")
    temporary.replace(path)
    reach("weights.after_rename")
    yield commands.ReportTrained(
        child_id=request.child_id,
        attempt=request.attempt,
        epochs=epochs,
        best_epoch=epochs,
        is_stopped_early=False,
        evaluation=_simulate(request, epochs).validation,
        weights_sha256=hashlib.sha256(content).hexdigest(),
    )


def _evaluated(request: WorkerRequest) -> commands.ReportEvaluated:
    others = tuple(
        Assessed(
            child_id=net.child_id,
            evaluation=simulate_epoch(
                search_seed=request.data.seed,
                graph_hash=net.graph_hash,
                iteration=net.child_id.iteration,
                epoch=net.best_epoch,
                totals=request.totals,
            ).validation,
        )
        for net in request.others
    )
    evaluation = _simulate(request, request.best_epoch).validation
    return commands.ReportEvaluated(
        child_id=request.child_id, attempt=request.attempt, evaluation=evaluation, others=others
    )


def _preempted(request: WorkerRequest) -> commands.ReportLost:
    return commands.ReportLost(
        child_id=request.child_id,
        attempt=request.attempt,
        reason=LostReason.PREEMPTED,
        detail="interrupted",
    )


def _simulate(request: WorkerRequest, epoch: int) -> EpochResult:
    return simulate_epoch(
        search_seed=request.data.seed,
        graph_hash=request.graph_hash,
        iteration=request.child_id.iteration,
        epoch=epoch,
        totals=request.totals,
    )
