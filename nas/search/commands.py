# SPDX-License-Identifier: Apache-2.0
"""Everything that can be asked of a search or reported to it. A command may be refused or ignored."""

from __future__ import annotations

from dataclasses import dataclass

from nas.assessment import Assessed, Assessment
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import SearchConfig
from nas.search.conditions import DatasetSummary, Resources, Runtime
from nas.search.reasons import FailureReason, LostReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSearch:
    """Begin; the server has prepared the data and fixed the resources."""

    config: SearchConfig
    request_id: str
    dataset: DatasetSummary
    resources: Resources
    warnings: tuple[str, ...] = ()
    principal: str = ""
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSearch:
    """End the search; asking twice is the same as asking once."""

    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSearch:
    """Let the search wait; asking twice is the same as asking once."""

    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSearch:
    """Let the search go on; without effect on one that does."""

    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSearch:
    """Delete the files of a search that has ended."""

    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchAttempt:
    """A worker is free for this child (for its test evaluation, once the search has stopped)."""

    child_id: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachTimeBudget:
    """The running time is used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStarted:
    """The worker of an attempt is ready."""

    child_id: ChildId
    attempt: int
    runtime: Runtime
    resumed_after_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEpoch:
    """The worker finished an epoch, or repeats a report from its checkpoint that may not have arrived."""

    child_id: ChildId
    attempt: int
    result: EpochResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTrained:
    """The worker finished the training."""

    child_id: ChildId
    attempt: int
    epochs: int
    best_epoch: int
    is_stopped_early: bool
    evaluation: Evaluation
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvaluated:
    """The worker finished the test evaluation.

    Attributes:
        assessment: None where the training was only simulated.
        others: the other children that it was asked to evaluate; one whose weights cannot be read is left out.
    """

    child_id: ChildId
    attempt: int
    evaluation: Evaluation
    assessment: Assessment | None = None
    others: tuple[Assessed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFailed:
    """The worker found that the child cannot be trained; no further attempt would change that."""

    child_id: ChildId
    attempt: int
    reason: FailureReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLost:
    """The attempt ended without an outcome."""

    child_id: ChildId
    attempt: int
    reason: LostReason
    detail: str


Report = ReportStarted | ReportEpoch | ReportTrained | ReportEvaluated | ReportFailed | ReportLost
Control = CancelSearch | PauseSearch | ResumeSearch | DeleteSearch
Command = StartSearch | Control | LaunchAttempt | ReachTimeBudget | Report
