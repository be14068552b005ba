# SPDX-License-Identifier: Apache-2.0
"""What a search is at one moment: a value folded from its events, never written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from nas.architecture import Architecture
from nas.assessment import Assessed
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import SearchConfig, SelectionMetric
from nas.search.conditions import Runtime
from nas.search.events import ChildrenSelected, SearchStarted
from nas.search.reasons import FailureReason, SearchFailure, StopReason
from nas.selection import Contender, rank
from nas.transformations import Transformation


class SearchState(Enum):
    """Life cycle of a search."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSING = "pausing"
    PAUSED = "paused"
    DELETED = "deleted"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self in (SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED, SearchState.DELETED)


class ChildState(Enum):
    """Life cycle of a child; the initial model stays PROPOSED where iterations follow."""

    PROPOSED = "proposed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One architecture of one iteration and what became of it.

    Attributes:
        attempts: attempts launched so far; the running one has this number.
        started_attempt: the last one whose worker was ready.
        lost_attempts: those that count against ``max_attempts``.
        out_of_memory: how many of them ended for want of memory.
        epochs: one result per epoch, the last report of each, in order.
        evaluation, best_epoch, weights_sha256: set once SUCCEEDED.
        failure, failure_detail: set once FAILED.
    """

    child_id: ChildId
    parent_id: ChildId | None
    transformation: Transformation | None
    architecture: Architecture
    graph_hash: str
    param_count: int
    flops: int
    state: ChildState = ChildState.PROPOSED
    attempts: int = 0
    started_attempt: int = 0
    lost_attempts: int = 0
    out_of_memory: int = 0
    runtime: Runtime | None = None
    epochs: tuple[EpochResult, ...] = ()
    is_stopped_early: bool = False
    evaluation: Evaluation | None = None
    best_epoch: int = 0
    weights_sha256: str = ""
    failure: FailureReason | None = None
    failure_detail: str = ""

    @property
    def contender(self) -> Contender | None:
        """How the child enters a selection, if it was trained."""
        if self.state is not ChildState.SUCCEEDED or self.evaluation is None:
            return None
        return Contender(child_id=self.child_id, param_count=self.param_count, evaluation=self.evaluation)


class EvaluationState(Enum):
    """Life cycle of the winner's test evaluation."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerEvaluation:
    """The winner's evaluation on the test part, recoverable like a child.

    Attributes:
        child_id: the incumbent when the search stopped.
        lost_attempts: those that count against ``max_attempts``.
        result: of the winner, None until it is DONE.
        others: of the children that were evaluated with it.
    """

    child_id: ChildId
    state: EvaluationState = EvaluationState.DUE
    lost_attempts: int = 0
    result: Assessed | None = None
    others: tuple[Assessed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    """The stage after a search in which the nets that it ends with are trained in full.

    Attributes:
        iteration: of its children; every other child has a lower one.
        parents: the children whose nets are trained once more.
    """

    iteration: int
    parents: tuple[ChildId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The whole state of one search.

    Attributes:
        started: what the search was started with.
        iteration: the current one, 0 before the first.
        parents: of the current iteration.
        children: by id, in the order of their proposal.
        skipped: ids of the children that could not be derived, in order; they stay unused.
        selections: one per iteration that was selected.
        is_out_of_time: the time budget was reached; running children are cancelled until the search stops.
        stop: why no further iteration starts, once known.
        finishing: the stage that follows then, once it has begun.
        evaluation: the winner's test evaluation, once it is due.
        failure, failure_detail: set once FAILED.
    """

    started: SearchStarted
    state: SearchState = SearchState.RUNNING
    iteration: int = 0
    parents: tuple[ChildId, ...] = ()
    children: MappingProxyType[ChildId, Child] = field(default_factory=lambda: MappingProxyType({}))
    skipped: tuple[ChildId, ...] = ()
    selections: tuple[ChildrenSelected, ...] = ()
    is_out_of_time: bool = False
    stop: StopReason | None = None
    finishing: Finishing | None = None
    evaluation: WinnerEvaluation | None = None
    failure: SearchFailure | None = None
    failure_detail: str = ""

    @property
    def config(self) -> SearchConfig:
        """The settings as requested."""
        return self.started.config

    @property
    def metric(self) -> SelectionMetric:
        """What BEST is best at; the paper's preset selects by accuracy."""
        return self.config.selection_metric or SelectionMetric.ACCURACY

    @property
    def is_training_iteration(self) -> bool:
        """Whether the current iteration's children are trained: iteration 0 only where no other may follow."""
        return self.iteration > 0 or self.config.max_iterations == 0

    @property
    def is_running_out(self) -> bool:
        """Whether running children are being cancelled, because the time budget was reached."""
        return self.is_out_of_time and self.stop is None

    @property
    def unfinished(self) -> tuple[Child, ...]:
        """The children that wait for training or are in training, by id.

        The initial model is one only where it is trained; in the finishing stage only that stage's children are.
        """
        first = 0 if self.config.max_iterations == 0 else 1
        if self.finishing is not None:
            first = self.finishing.iteration
        states = (ChildState.PROPOSED, ChildState.RUNNING)
        children = [child for child in self.children.values() if child.state in states]
        return tuple(sorted((c for c in children if c.child_id.iteration >= first), key=lambda c: c.child_id))

    @property
    def incumbent(self) -> Child | None:
        """Best child of the whole search so far; what the search returns."""
        contenders = [
            c for child in self.children.values() if (c := child.contender) is not None and c.evaluation.is_finite
        ]
        return self.children[rank(contenders, self.metric)[0].child_id] if contenders else None

    @property
    def smallest(self) -> Child | None:
        """The SMALLEST of the last selection, as it was finished if that succeeded; None without one beside BEST."""
        for choice in self.selections[-1].choices[1:] if self.selections else ():
            return self.finished(choice.child_id)
        return None

    @property
    def rivals(self) -> tuple[Child, ...]:
        """Children that are evaluated on the test part beside the winner: the smallest, if it is another net."""
        winner = self.evaluation.child_id if self.evaluation is not None else None
        smallest = self.smallest
        if smallest is None or winner in (smallest.child_id, self.selections[-1].choices[1].child_id):
            return ()
        return (smallest,)

    @property
    def assessed(self) -> tuple[Assessed, ...]:
        """All that was read from the test part, the winner first; nothing before the evaluation is done."""
        evaluation = self.evaluation
        if evaluation is None or evaluation.result is None:
            return ()
        return (evaluation.result, *evaluation.others)

    @property
    def finishing_children(self) -> tuple[Child, ...]:
        """The children of the finishing stage, in order."""
        return () if self.finishing is None else self.of_iteration(self.finishing.iteration)

    def finished(self, child_id: ChildId) -> Child:
        """Return the child that finished this one's net; this one if there is none or it has not succeeded."""
        for child in self.finishing_children:
            if child.parent_id == child_id and child.state is ChildState.SUCCEEDED:
                return child
        return self.children[child_id]

    def of_iteration(self, iteration: int) -> tuple[Child, ...]:
        """The children of one iteration, in order."""
        return tuple(child for child in self.children.values() if child.child_id.iteration == iteration)
