# SPDX-License-Identifier: Apache-2.0
"""From a worker's request to a request for ``nas.training``."""

from __future__ import annotations

from pathlib import Path

from nas.notation import parse_notation
from nas.search import commands
from nas.training import FitRequest, resolve_runtime
from server.codec.lines import WorkerRequest


def make_fit_request(request: WorkerRequest) -> FitRequest:
    """Return the training that is asked for, or the one whose weights are to be evaluated."""
    return FitRequest(
        architecture=parse_notation(request.notation),
        input_shape=request.shape,
        training=request.training,
        search_seed=request.data.seed,
        child_id=request.child_id,
        threads=request.threads,
        checkpoint_dir=Path(request.checkpoint_dir),
    )


def report_started(request: WorkerRequest, *, resumed_after_epoch: int) -> commands.ReportStarted:
    """Report that the worker is ready, and on which device and in which precision it runs."""
    return commands.ReportStarted(
        child_id=request.child_id,
        attempt=request.attempt,
        runtime=resolve_runtime(request.training, request.threads),
        resumed_after_epoch=resumed_after_epoch,
    )
