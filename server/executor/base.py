# SPDX-License-Identifier: Apache-2.0
"""What runs attempts: one protocol for this machine, for Ray clusters and for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nas.architecture import Architecture
from nas.child import ChildId
from nas.config import SearchConfig, TrainingConfig
from nas.search import commands
from nas.search.conditions import DatasetSummary, Resources
from nas.search.reasons import AttemptKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptKey:
    """Names an attempt; no two attempts have the same key, even after a crash."""

    search_id: str
    child_id: ChildId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNet:
    """A child that a test evaluation measures beside the winner."""

    child_id: ChildId
    architecture: Architecture
    graph_hash: str
    best_epoch: int
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRequest:
    """An attempt that has to run according to the journal.

    Attributes:
        training: how this child is trained.
        epochs_recorded: number of epochs that are in the journal already.
        best_epoch, weights_sha256: of the training, for a test evaluation.
        others: the nets that a test evaluation measures beside the winner.
    """

    key: AttemptKey
    kind: AttemptKind
    architecture: Architecture
    graph_hash: str
    config: SearchConfig
    training: TrainingConfig
    dataset: DatasetSummary
    resources: Resources
    epochs_recorded: int
    best_epoch: int
    weights_sha256: str
    others: tuple[TrainedNet, ...] = ()


OnReport = Callable[[AttemptKey, commands.Report], None]
"""Called in the event loop for all that a worker says, and once with ``ReportLost`` if it dies without an outcome."""

OUTCOMES = (commands.ReportTrained, commands.ReportEvaluated, commands.ReportFailed, commands.ReportLost)
"""The reports after which an attempt is over."""


class Executor(Protocol):
    """Runs attempts and reports what they say.

    All methods are called in one event loop. Every attempt that was launched ends with exactly one outcome, which is
    reported once; after ``close`` nothing is reported any more. An executor never decides about retries.
    """

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        ...

    @property
    def slots(self) -> int:
        """Attempts that can run at the same time."""
        ...

    def running(self) -> frozenset[AttemptKey]:
        """Attempts that were launched and have not come to an outcome."""
        ...

    async def launch(self, request: AttemptRequest, on_report: OnReport) -> None:
        """Start an attempt. Failing to start is reported as lost, not raised."""
        ...

    async def cancel(self, key: AttemptKey) -> None:
        """End an attempt, which is then lost as CANCELLED; without effect on one that is over."""
        ...

    async def interrupt(self, key: AttemptKey) -> None:
        """Ask an attempt to write a checkpoint and to end as PREEMPTED; it may have another outcome before it does."""
        ...

    async def expect(self, attempts: int) -> None:
        """Say how many launches are expected, so that workers can be kept warm; 0 ends those that wait."""
        ...

    async def preempt(self) -> None:
        """Ask all attempts to write a checkpoint and to end as PREEMPTED, and wait some seconds for that.

        Meanwhile an attempt may have another outcome, or none. No attempt is launched afterwards.
        """
        ...

    async def close(self) -> None:
        """End all attempts and wait until their processes are gone; nothing is reported."""
        ...
