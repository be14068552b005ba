# SPDX-License-Identifier: Apache-2.0
"""The rules of a search: which facts follow from a command, and which work follows from a state.

Pure: no clock, no random numbers, no IO. ``decide`` may refuse; ``evolve`` may not. Work is derived from the state and
never remembered beside it, so recovery is replay plus reconcile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from nas.child import ChildId
from nas.search import commands, events
from nas.search.control import RejectedError, control
from nas.search.progress import Draw, History, advance
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure
from nas.search.state import Child, ChildState, EvaluationState, Search, SearchState


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An attempt that should be running.

    Attributes:
        attempt: its number, None if it has yet to be launched.
    """

    child_id: ChildId
    kind: AttemptKind
    attempt: int | None


def decide(search: Search | None, command: commands.Command, draw: Draw) -> tuple[events.Event, ...]:
    """Return the facts that follow from ``command``; none for a stale or repeated report.

    Args:
        search: the state, None before the search exists.
        command: what is asked or reported.
        draw: ``draw(child_id, index, below)`` gives an integer in ``range(below)``, the same for the same arguments.

    Raises:
        RejectedError: the state does not allow the command.
    """
    if search is None:
        if not isinstance(command, commands.StartSearch):
            raise RejectedError("there is no such search")
        history = History(None)
        history.record(_started(command))
    else:
        history = History(search)
        _apply(history, search, command)
        if not history.events:
            return ()
    advance(history, draw)
    return tuple(history.events)


def pending_work(search: Search) -> tuple[Work, ...]:
    """Return what should be running now, in the order in which it should be launched."""
    if search.state is not SearchState.RUNNING or (search.is_out_of_time and search.stop is None):
        return ()
    if search.evaluation is not None:
        return _evaluation_work(search)
    return tuple(_training(child) for child in search.unfinished)


def running_attempts(search: Search) -> tuple[Work, ...]:
    """Return the attempts that were launched and of which no outcome is known."""
    if search.state.is_terminal:
        return ()
    training = tuple(_training(child) for child in search.children.values() if child.state is ChildState.RUNNING)
    evaluation = (
        _evaluation_work(search) if search.evaluation and search.evaluation.state is EvaluationState.RUNNING else ()
    )
    return training + evaluation


def _training(child: Child) -> Work:
    attempt = child.attempts if child.state is ChildState.RUNNING else None
    return Work(child_id=child.child_id, kind=AttemptKind.TRAINING, attempt=attempt)


def _evaluation_work(search: Search) -> tuple[Work, ...]:
    evaluation = search.evaluation
    if evaluation is None or evaluation.state is EvaluationState.DONE:
        return ()
    attempt = search.children[evaluation.child_id].attempts if evaluation.state is EvaluationState.RUNNING else None
    return (Work(child_id=evaluation.child_id, kind=AttemptKind.TEST_EVALUATION, attempt=attempt),)


def _started(command: commands.StartSearch) -> events.SearchStarted:
    return events.SearchStarted(
        config=command.config,
        request_id=command.request_id,
        dataset=command.dataset,
        resources=command.resources,
        warnings=command.warnings,
        principal=command.principal,
        software=command.software,
    )


def _apply(history: History, search: Search, command: commands.Command) -> None:
    match command:
        case commands.StartSearch():
            raise RejectedError("the search has been started already")
        case commands.CancelSearch() | commands.PauseSearch() | commands.ResumeSearch() | commands.DeleteSearch():
            control(history, search, command)
        case commands.LaunchAttempt():
            _launch(history, search, command.child_id)
        case commands.ReachTimeBudget():
            if search.state is SearchState.RUNNING and search.stop is None and not search.is_out_of_time:
                history.record(events.TimeBudgetReached())
        case (
            commands.ReportStarted()
            | commands.ReportEpoch()
            | commands.ReportTrained()
            | commands.ReportEvaluated()
            | commands.ReportFailed()
            | commands.ReportLost()
        ):
            out = {(work.child_id, work.attempt): work for work in running_attempts(search)}
            work = out.get((command.child_id, command.attempt))
            if work is not None:  # else the attempt is fenced off: its report is stale or repeated
                _report(history, search, work.kind, command)
        case _:
            assert_never(command)


def _launch(history: History, search: Search, child_id: ChildId) -> None:
    for work in pending_work(search):
        if work.child_id == child_id and work.attempt is None:
            attempt = search.children[child_id].attempts + 1
            history.record(events.AttemptLaunched(child_id=child_id, attempt=attempt, kind=work.kind))


def _report(history: History, search: Search, kind: AttemptKind, report: commands.Report) -> None:
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
    """Turn a report that no worker would send into a loss, and one of a loss that is no number into a failure."""
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
    done, most = len(search.children[report.child_id].epochs), search.config.training.max_epochs
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
    """Return which loss of a training is not finite, empty if none is: NaN would never decline, so it never enters."""
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
    elif history.search.state is not SearchState.RUNNING:  # it ends as CANCELLED, or the evaluation is due again
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
    if kind is AttemptKind.TEST_EVALUATION or search.state is SearchState.CANCELLING or search.is_out_of_time:
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
