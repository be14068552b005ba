# SPDX-License-Identifier: Apache-2.0
"""The test evaluation, which reads the test part once, for the winner and the nets beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from nas.assessment import MAX_NEIGHBOUR_VALUES, Assessed, Neighbours
from nas.evaluation.assess import assess
from nas.evaluation.neighbours import Part, assess_neighbours
from nas.notation import parse_notation
from nas.search import commands
from nas.seeds import derive_seed
from nas.training import FitRequest, WeightsError, ask_weights
from server.codec.lines import WorkerRequest
from server.worker.dataset import HeldOut, load_training_data, open_test_part
from server.worker.requests import make_fit_request, report_started

log = logging.getLogger(__name__)


def evaluate(request: WorkerRequest, on_step: Callable[[], None]) -> Iterator[commands.Report]:
    """Evaluate the winner, and every other net whose weights can be read. It is short and cannot be interrupted."""
    part = open_test_part(request, on_step)
    yield report_started(request, resumed_after_epoch=0)
    fit_request = make_fit_request(request)
    winner = _assess(request, fit_request, request.weights_path, request.weights_sha256, part, on_step)
    if winner.assessment is not None:
        neighbours = _assess_neighbours(request, part, on_step)
        winner = replace(winner, assessment=replace(winner.assessment, neighbours=neighbours))
    others = []
    for net in request.others:
        its_request = replace(fit_request, architecture=parse_notation(net.notation), child_id=net.child_id)
        try:
            others.append(_assess(request, its_request, net.weights_path, net.weights_sha256, part, on_step))
        except WeightsError as error:  # the evaluation of the winner does not depend on it
            log.warning("child %s is not evaluated: %s", net.child_id, error)
    yield commands.ReportEvaluated(
        child_id=request.child_id,
        attempt=request.attempt,
        evaluation=winner.evaluation,
        assessment=winner.assessment,
        others=tuple(others),
    )


def _assess(
    request: WorkerRequest,
    fit_request: FitRequest,
    weights_path: str,
    weights_sha256: str,
    part: HeldOut,
    on_step: Callable[[], None],
) -> Assessed:
    answers = ask_weights(fit_request, Path(weights_path), weights_sha256, part.images, part.labels, on_step)
    on_step()
    assessment = None
    if answers.evaluation.is_finite:
        assessment = assess(
            part.labels,
            answers.probabilities(),
            groups_N=part.groups,
            commonest=request.commonest,
            seed=_bootstrap_seed(request),
        )
    return Assessed(child_id=fit_request.child_id, evaluation=answers.evaluation, assessment=assessment)


def _assess_neighbours(request: WorkerRequest, part: HeldOut, on_step: Callable[[], None]) -> Neighbours | None:
    """Ask the nearest neighbours about the same images; None where these are too large."""
    shape = request.shape
    if shape.channels * shape.height * shape.width > MAX_NEIGHBOUR_VALUES:
        return None
    known = load_training_data(request, on_step)
    return assess_neighbours(
        Part(images=known.train_images, labels=known.train_labels),
        Part(images=known.validation_images, labels=known.validation_labels),
        Part(images=part.images, labels=part.labels),
        groups_N=part.groups,
        seed=_bootstrap_seed(request),
        on_step=on_step,
    )


def _bootstrap_seed(request: WorkerRequest) -> int:
    return derive_seed(request.data.seed, "bootstrap")
