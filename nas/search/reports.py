# SPDX-License-Identifier: Apache-2.0
"""What follows from a report of a running attempt: progress, an outcome, a lost attempt or a failed child."""

from __future__ import annotations

import math
from typing import assert_never

from nas.recipe import planned_epochs
from nas.search import commands, events
from nas.search.finishing import training_of
from nas.search.progress import History
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure
from nas.search.state import Child, Search, SearchState


def take_report(history: History, search: Search, kind: AttemptKind, report: commands.Report) -> None:
    """Record what follows from a report of a running attempt; nothing if it only repeats what is known.

    Args:
        history: where events are recorded.
        search: the state before the report.
        kind: of the attempt.
        report: names the attempt.
    """
    child_id, attempt = report.child_id, report.attempt
    report = _judged(search, kind, report)
    if _is_repeated(search.children[child_id], report):
        return
    match report:
        case commands.ReportStarted():
            history.record(
                events.AttemptStarted(
                    child_id=child_id,
                    attempt=attempt,
                    runtime=report.runtime,
                    resumed_after_epoch=report.resumed_after_epoch,
                )
            )
        case commands.ReportEpoch():
            history.record(events.EpochCompleted(child_id=child_id, attempt=attempt, result=report.result))
        case commands.ReportTrained():
            history.record(_succeeded(report))
        case commands.ReportEvaluated():
            history.record(_evaluated(report))
        case commands.ReportFailed():
            _fail(history, kind, report)
        case commands.ReportLost():
            _lose(history, kind, report)
        case _:
            assert_never(report)


def _succeeded(report: commands.ReportTrained) -> events.ChildSucceeded:
    return events.ChildSucceeded(
        child_id=report.child_id,
        attempt=report.attempt,
        epochs=report.epochs,
        best_epoch=report.best_epoch,
        is_stopped_early=report.is_stopped_early,
        evaluation=report.evaluation,
        weights_sha256=report.weights_sha256,
    )


def _evaluated(report: commands.ReportEvaluated) -> events.WinnerEvaluated:
    return events.WinnerEvaluated(
        child_id=report.child_id,
        attempt=report.attempt,
        evaluation=report.evaluation,
        assessment=report.assessment,
        others=report.others,
    )


def _is_repeated(child: Child, report: commands.Report) -> bool:
    """Whether a report of the running attempt says only what is known already."""
    match report:
        case commands.ReportStarted(attempt=attempt):
            return child.started_attempt == attempt
        case commands.ReportEpoch(result=result):
            return result in child.epochs
    return False


def _judged(search: Search, kind: AttemptKind, report: commands.Report) -> commands.Report:
    """Turn a report that no worker would send into a lost attempt, and one that is not finite into a failed child."""
    child_id, attempt = report.child_id, report.attempt
    problem = _violation(search, kind, report)
    if problem:
        return commands.ReportLost(
            child_id=child_id, attempt=attempt, reason=LostReason.PROTOCOL_VIOLATED, detail=problem
        )
    problem = _divergence(report)
    if problem:
        return commands.ReportFailed(child_id=child_id, attempt=attempt, reason=FailureReason.DIVERGED, detail=problem)
    return report


def _violation(search: Search, kind: AttemptKind, report: commands.Report) -> str:
    """Return what is wrong with a report that no worker would send, empty if nothing is."""
    done = len(search.children[report.child_id].epochs)
    training = training_of(search, report.child_id)
    most = planned_epochs(training, sum(search.started.dataset.counts.train))
    match report:
        case commands.ReportEpoch() | commands.ReportTrained() if kind is AttemptKind.TEST_EVALUATION:
            return "a test evaluation reported training"
        case commands.ReportEvaluated() if kind is AttemptKind.TRAINING:
            return "a training reported a test evaluation"
        case commands.ReportEpoch(result=result) if not 1 <= result.epoch <= min(done + 1, most):
            return f"epoch {result.epoch} was reported after epoch {done} of at most {most}"
        case commands.ReportTrained(epochs=epochs, best_epoch=best) if epochs != done or not 1 <= best <= done:
            return f"{epochs} epochs with best epoch {best} were reported after epoch {done}"
    return ""


def _divergence(report: commands.Report) -> str:
    """Return which loss of a training is not finite, empty if all are; NaN never compares, so it must not enter."""
    match report:
        case commands.ReportEpoch(result=result) if not math.isfinite(result.training_loss):
            return f"the training loss of epoch {result.epoch} is {result.training_loss}"
        case commands.ReportEpoch(result=result) if not result.validation.is_finite:
            return f"the validation loss of epoch {result.epoch} is {result.validation.loss}"
        case commands.ReportTrained(best_epoch=best, evaluation=evaluation) if not evaluation.is_finite:
            return f"the validation loss of epoch {best} is {evaluation.loss}"
    return ""


def _fail(history: History, kind: AttemptKind, report: commands.ReportFailed) -> None:
    if kind is AttemptKind.TRAINING:
        history.record(
            events.ChildFailed(
                child_id=report.child_id, attempt=report.attempt, reason=report.reason, detail=report.detail
            )
        )
    elif history.search.state is not SearchState.RUNNING:  # the search ends as CANCELLED, or evaluates again later
        history.record(
            events.AttemptLost(
                child_id=report.child_id, attempt=report.attempt, reason=LostReason.CANCELLED, detail=report.detail
            )
        )
    else:
        history.record(events.SearchFailed(reason=SearchFailure.EVALUATION_FAILED, detail=report.detail))


def _lose(history: History, kind: AttemptKind, report: commands.ReportLost) -> None:
    lost = events.AttemptLost(
        child_id=report.child_id, attempt=report.attempt, reason=report.reason, detail=report.detail
    )
    history.record(lost)
    search = history.search
    if kind is AttemptKind.TEST_EVALUATION or search.state is SearchState.CANCELLING or search.is_running_out:
        return
    child = search.children[report.child_id]
    if child.out_of_memory >= 2:
        reason = FailureReason.INFEASIBLE
    elif child.lost_attempts >= search.config.max_attempts:
        reason = FailureReason.ATTEMPTS_EXHAUSTED
    else:
        return
    history.record(
        events.ChildFailed(child_id=report.child_id, attempt=report.attempt, reason=reason, detail=report.detail)
    )
