# SPDX-License-Identifier: Apache-2.0
"""Counts facts by folding the journal, like the state of a search; so the counts go on after a restart."""

from __future__ import annotations

from dataclasses import dataclass, field

from nas.child import ChildId
from nas.search import events
from nas.search.reasons import AttemptKind
from nas.search.state import ChildState
from server.codec.envelope import Envelope
from server.sinks.metrics import FINISHING, Metrics


@dataclass(slots=True)
class _Open:
    """What has begun in one search and has not ended.

    Attributes:
        images: number of images in the part that children train on.
        operations: the operation that each child was derived by, or ``FINISHING``.
        waiting_since: running time of the search, in seconds, since when a child waits for a worker: when it was
            proposed, its attempt was lost, or the search was resumed.
        seconds: duration of each epoch of a child; the last report of an epoch counts.
        speeds: images per second in the last epoch of each attempt without an outcome.
        evaluated: the child whose test evaluation was launched; the start of that is not counted as a resumption.
    """

    images: int
    operations: dict[ChildId, str] = field(default_factory=dict)
    waiting_since: dict[ChildId, float] = field(default_factory=dict)
    seconds: dict[ChildId, dict[int, float]] = field(default_factory=dict)
    speeds: dict[ChildId, float] = field(default_factory=dict)
    evaluated: ChildId | None = None


class Tally:
    """The sink that counts facts; it keeps nothing else of a search that has ended."""

    def __init__(self, metrics: Metrics) -> None:
        self._training = metrics.training
        self._search = metrics.search
        self._open: dict[str, _Open] = {}
        metrics.training.images_per_second.set_function(self._speed)

    def __call__(self, envelope: Envelope) -> None:
        """Count one fact."""
        fact = envelope.fact
        if isinstance(fact, events.SearchStarted):
            self._open[envelope.search_id] = _Open(images=sum(fact.dataset.counts.train))
        elif isinstance(fact, events.TERMINAL_EVENTS):
            self._open.pop(envelope.search_id, None)
        elif (search := self._open.get(envelope.search_id)) is not None:
            self._count(search, fact, envelope.time_ns / 1e9)

    def _speed(self) -> float:
        return sum(speed for search in self._open.values() for speed in search.speeds.values())

    def _count(self, search: _Open, fact: events.Event, now: float) -> None:
        match fact:
            case events.EpochCompleted():
                self._count_epoch(search, fact)
            case events.ChildProposed(child_id=child_id, parent_id=parent_id, transformation=transformation):
                if parent_id is not None:  # the initial model is not trained
                    search.operations[child_id] = (
                        FINISHING if transformation is None else transformation.operation.value
                    )
                    search.waiting_since[child_id] = now
            case events.TransformationSkipped(reason=reason):
                self._training.skipped.labels(reason.value).inc()
            case events.AttemptLaunched(child_id=child_id, kind=kind):
                self._training.attempts.labels(kind.value).inc()
                if kind is AttemptKind.TEST_EVALUATION:
                    search.evaluated = child_id
                if (since := search.waiting_since.pop(child_id, None)) is not None:
                    self._training.queue_seconds.observe(max(0.0, now - since))
            case events.AttemptStarted(child_id=child_id, resumed_after_epoch=epoch):
                if epoch and child_id != search.evaluated:
                    self._search.resumes.labels("attempt").inc()
            case events.SearchResumed():
                self._search.resumes.labels("search").inc()
                search.waiting_since = dict.fromkeys(search.waiting_since, now)
            case events.AttemptLost(child_id=child_id, reason=lost):
                self._training.faults.labels(lost.value).inc()
                search.speeds.pop(child_id, None)
                search.waiting_since[child_id] = now
            case events.ChildSucceeded() | events.ChildFailed() | events.ChildCancelled():
                self._count_child(search, fact)
            case _:
                pass

    def _count_epoch(self, search: _Open, fact: events.EpochCompleted) -> None:
        result = fact.result
        self._training.epochs.inc()
        self._training.images.inc(search.images)
        self._training.epoch_seconds.observe(result.seconds)
        search.seconds.setdefault(fact.child_id, {})[result.epoch] = result.seconds
        search.speeds[fact.child_id] = result.images_per_second

    def _count_child(
        self, search: _Open, fact: events.ChildSucceeded | events.ChildFailed | events.ChildCancelled
    ) -> None:
        child_id = fact.child_id
        outcome = ChildState.SUCCEEDED
        if isinstance(fact, events.ChildFailed):
            outcome = ChildState.FAILED
            self._training.faults.labels(fact.reason.value).inc()
        elif isinstance(fact, events.ChildCancelled):
            outcome = ChildState.CANCELLED
        search.speeds.pop(child_id, None)
        search.waiting_since.pop(child_id, None)
        seconds = search.seconds.pop(child_id, {})
        operation = search.operations.pop(child_id, None)
        if operation is not None:  # a cancelled initial model has none
            self._training.children.labels(operation, outcome.value).inc()
        if outcome is ChildState.SUCCEEDED:
            self._training.child_seconds.observe(sum(seconds.values()))
