# SPDX-License-Identifier: Apache-2.0
"""Log lines about searches: one line with many fields per attempt, and one per fact that a person may act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from nas.child import ChildId
from nas.search import events
from server.codec.envelope import Envelope

log = structlog.get_logger("nas.search")


@dataclass(slots=True)
class _Attempt:
    """What is known for the line of an attempt.

    Attributes:
        began: running time of the search at its launch, in seconds.
        words: fields about its kind, its device and the epoch that it resumed from.
    """

    number: int
    began: float
    words: dict[str, Any]
    epochs: int = 0
    seconds: float = 0.0
    speed: float = 0.0


_Attempts = dict[ChildId, _Attempt]
"""Attempts of one search that have no outcome yet."""


class FactLog:
    """The sink that logs facts; it keeps nothing of a search that has ended."""

    def __init__(self) -> None:
        self._searches: dict[str, _Attempts] = {}

    def __call__(self, envelope: Envelope) -> None:
        """Write the line of a fact, if it has one."""
        attempts = self._searches.setdefault(envelope.search_id, {})
        line = log.bind(search_id=envelope.search_id, sequence=envelope.sequence)
        fact = envelope.fact
        match fact:
            case events.AttemptLaunched() | events.AttemptStarted() | events.EpochCompleted():
                _follow(attempts, fact, envelope.running_seconds)
            case events.AttemptLost() | events.ChildSucceeded() | events.ChildFailed() | events.WinnerEvaluated():
                _end(line, attempts, fact, envelope.running_seconds)
            case _:
                _tell(line, fact)
        if isinstance(fact, (*events.TERMINAL_EVENTS, events.SearchDeleted)):
            self._searches.pop(envelope.search_id, None)


def _follow(
    attempts: _Attempts, fact: events.AttemptLaunched | events.AttemptStarted | events.EpochCompleted, now: float
) -> None:
    """Keep what belongs on the line that is written when the attempt ends."""
    if isinstance(fact, events.AttemptLaunched):
        attempts[fact.child_id] = _Attempt(fact.attempt, now, {"kind": fact.kind.value})
        return
    attempt = attempts.get(fact.child_id)
    if attempt is None:  # of an earlier server
        return
    if isinstance(fact, events.AttemptStarted):
        attempt.words |= {
            "device": fact.runtime.device.value,
            "precision": fact.runtime.precision.value,
            "threads": fact.runtime.threads,
            "resumed_after_epoch": fact.resumed_after_epoch,
        }
    else:
        attempt.epochs += 1
        attempt.seconds += fact.result.seconds
        attempt.speed = fact.result.images_per_second


def _end(
    line: Any,
    attempts: _Attempts,
    fact: events.AttemptLost | events.ChildSucceeded | events.ChildFailed | events.WinnerEvaluated,
    now: float,
) -> None:
    """Write the one line of an attempt; a child that fails when its last attempt is lost already has one."""
    attempt = attempts.pop(fact.child_id, None)
    about: dict[str, Any] = {"child_id": str(fact.child_id), "attempt": fact.attempt}
    if attempt is not None:
        about |= attempt.words | {
            "running_seconds": round(now - attempt.began, 3),
            "epochs": attempt.epochs,
            "training_seconds": round(attempt.seconds, 3),
            "images_per_second": round(attempt.speed, 1),
        }
    match fact:
        case events.ChildSucceeded() | events.WinnerEvaluated():
            is_child = isinstance(fact, events.ChildSucceeded)
            accuracy = float(fact.evaluation.accuracy)
            line.info("attempt", outcome="succeeded" if is_child else "evaluated", accuracy=accuracy, **about)
        case events.AttemptLost():
            line.warning("attempt", outcome="lost", reason=fact.reason.value, detail=fact.detail, **about)
        case events.ChildFailed() if attempt is not None:
            line.warning("attempt", outcome="failed", reason=fact.reason.value, detail=fact.detail, **about)
        case events.ChildFailed():
            line.warning("child_failed", reason=fact.reason.value, detail=fact.detail, **about)


def _tell(line: Any, fact: events.Event) -> None:
    """Write the line of a fact about the search as a whole."""
    match fact:
        case events.SearchStarted():
            config = fact.config
            line.info("search_started", dataset=config.dataset, block=config.block.value, principal=fact.principal)
        case events.ChildrenSelected():
            line.info("children_selected", iteration=fact.iteration, incumbent=str(fact.incumbent))
        case events.FinishingStarted():
            line.info("finishing_started", parents=[str(parent) for parent in fact.parents])
        case events.FinishingCompleted():
            line.info("finishing_completed", winner=str(fact.winner))
        case events.CancelRequested() | events.PauseRequested() | events.SearchResumed() | events.SearchDeleted():
            line.info(_NAMES[type(fact)], principal=fact.principal)
        case events.SearchSucceeded():
            line.info("search_succeeded", reason=fact.reason.value, winner=str(fact.winner))
        case events.SearchFailed():
            line.error("search_failed", reason=fact.reason.value, detail=fact.detail)
        case events.SearchCancelled():
            line.info("search_cancelled")
        case _:
            pass


_NAMES = {
    events.CancelRequested: "cancel_requested",
    events.PauseRequested: "pause_requested",
    events.SearchResumed: "search_resumed",
    events.SearchDeleted: "search_deleted",
}
