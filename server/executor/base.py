# SPDX-License-Identifier: Apache-2.0
"""Where attempts run: one small protocol for this machine, for tests, and later for clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nas.architecture import Architecture
from nas.child import ChildId
from nas.config import SearchConfig
from nas.search import commands
from nas.search.facts import AttemptKind, DatasetSummary, Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptKey:
    """Which attempt; never used twice, whatever is killed."""

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
    """An attempt that the journal says is to run.

    Attributes:
        epochs_recorded: epochs that the journal has already.
        best_epoch, weights_sha256: of the training, for a test evaluation.
        others: the nets that a test evaluation measures beside the winner.
    """

    key: AttemptKey
    kind: AttemptKind
    architecture: Architecture
    graph_hash: str
    config: SearchConfig
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
        """Ask an attempt to keep what it has and to end as PREEMPTED; it may come to another outcome meanwhile."""
        ...

    async def expect(self, attempts: int) -> None:
        """Say how many launches are near, so that workers can be kept warm; 0 lets them go."""
        ...

    async def preempt(self) -> None:
        """Ask all attempts to keep what they have and to end as PREEMPTED, and wait for that, but not for long.

        An attempt may as well come to another outcome meanwhile, or not come to any; no attempt is launched afterwards.
        """
        ...

    async def close(self) -> None:
        """End all attempts and wait until their processes are gone; nothing is reported."""
        ...
