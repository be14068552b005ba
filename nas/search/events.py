# SPDX-License-Identifier: Apache-2.0
"""Everything that can have happened in a search: past tense, immutable, the only truth.

Sequence numbers, wall-clock times and the running time belong to the envelope, not to the fact.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.architecture import Architecture
from nas.assessment import Assessed, Assessment
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import SearchConfig
from nas.operations import Operation
from nas.search.conditions import DatasetSummary, Resources, Runtime
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.selection import Choice
from nas.transformations import SkipReason, Transformation


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStarted:
    """A search exists.

    Attributes:
        config: as requested, the metric settled; what else the server chose stands in ``dataset`` and ``resources``.
        request_id: makes starting idempotent; a UUID chosen by the client.
        principal: who asked, empty without authentication.
        software: name and version of the server.
    """

    config: SearchConfig
    request_id: str
    dataset: DatasetSummary
    resources: Resources
    warnings: tuple[str, ...]
    principal: str
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationStarted:
    """An iteration began; children of ``parents`` follow in their order."""

    iteration: int
    parents: tuple[ChildId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProposed:
    """A child was derived; the drawn arguments are stored, so replay never draws.

    Attributes:
        parent_id: None for the initial model; in the finishing stage, the child whose net is trained once more.
        transformation: None for the initial model and in the finishing stage.
        graph_hash: SHA-256 of the canonical graph, hexadecimal.
        param_count: trainable parameters, by the closed form.
        flops: of one forward pass of one image, 2 per multiply-accumulate.
    """

    child_id: ChildId
    parent_id: ChildId | None
    transformation: Transformation | None
    architecture: Architecture
    graph_hash: str
    param_count: int
    flops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformationSkipped:
    """No acceptable arguments were found; ``child_id`` is the id that stays unused."""

    child_id: ChildId
    parent_id: ChildId
    operation: Operation
    reason: SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLaunched:
    """A worker is about to be started; journaled first, so that its number fences every report."""

    child_id: ChildId
    attempt: int
    kind: AttemptKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """The worker is ready; ``resumed_after_epoch`` is the last epoch taken over from a checkpoint, 0 if none."""

    child_id: ChildId
    attempt: int
    runtime: Runtime
    resumed_after_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCompleted:
    """One epoch of a child's training ended; the last attempt's report of an epoch counts."""

    child_id: ChildId
    attempt: int
    result: EpochResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSucceeded:
    """A child is trained.

    Attributes:
        best_epoch: the epoch of lowest validation loss, whose weights were kept.
        evaluation: of that epoch, on the validation part.
        weights_sha256: of the kept weights' file, hexadecimal.
    """

    child_id: ChildId
    attempt: int
    epochs: int
    best_epoch: int
    is_stopped_early: bool
    evaluation: Evaluation
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLost:
    """An attempt ended without an outcome; another follows unless a cap is reached."""

    child_id: ChildId
    attempt: int
    reason: LostReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFailed:
    """A child has failed for good; the search goes on without it."""

    child_id: ChildId
    attempt: int
    reason: FailureReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCancelled:
    """A child will not be trained any more."""

    child_id: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenSelected:
    """The parents of the next iteration, chosen among this iteration's children.

    Attributes:
        choices: BEST, then SMALLEST if there is another child.
        previous_best: best selection metric of the iteration before, None in the first.
        incumbent: best child of the whole search so far.
    """

    iteration: int
    choices: tuple[Choice, ...]
    previous_best: float | None
    incumbent: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingCriterionMet:
    """No further iteration will start."""

    reason: StopReason
    iteration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishingStarted:
    """The search has stopped; the nets of ``parents``, the best and the smallest if another, are trained once more."""

    iteration: int
    parents: tuple[ChildId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishingCompleted:
    """Each of these trainings has an outcome; ``winner`` is the best child of search and finishing together."""

    winner: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBudgetReached:
    """The running time is used up but for finishing: running children are cancelled, and no selection follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Somebody asked for the end of the search."""

    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequested:
    """Somebody asked the search to wait: running attempts stop at a checkpoint, and no other is launched."""

    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPaused:
    """Nothing runs any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResumed:
    """Somebody asked the search to go on."""

    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerEvaluated:
    """The incumbent was evaluated on the test part, the only time that part is read.

    Attributes:
        assessment: None from a server before 0.2.0, and where the training was only simulated.
        others: children that were evaluated in the same reading: the smallest one of the last selection.
    """

    child_id: ChildId
    attempt: int
    evaluation: Evaluation
    assessment: Assessment | None = None
    others: tuple[Assessed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSucceeded:
    """The search ended with a result."""

    reason: StopReason
    winner: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFailed:
    """The search ended without one."""

    reason: SearchFailure
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCancelled:
    """The search ended because somebody asked for it; the incumbent, if any, remains."""

    incumbent: ChildId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDeleted:
    """Somebody asked for the end of a search's files; only the journal remembers it."""

    principal: str


Event = (
    SearchStarted
    | IterationStarted
    | ChildProposed
    | TransformationSkipped
    | AttemptLaunched
    | AttemptStarted
    | EpochCompleted
    | ChildSucceeded
    | AttemptLost
    | ChildFailed
    | ChildCancelled
    | ChildrenSelected
    | StoppingCriterionMet
    | TimeBudgetReached
    | CancelRequested
    | PauseRequested
    | SearchPaused
    | SearchResumed
    | WinnerEvaluated
    | SearchSucceeded
    | SearchFailed
    | SearchCancelled
    | SearchDeleted
    | FinishingStarted
    | FinishingCompleted
)

TERMINAL_EVENTS = (SearchSucceeded, SearchFailed, SearchCancelled)
"""After one of these nothing more happens in a search; it can only be deleted."""
