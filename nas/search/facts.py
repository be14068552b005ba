# SPDX-License-Identifier: Apache-2.0
"""The small records and enums that commands, events and state share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nas.config import Device, InputShape, Precision
from nas.folders import PatientSource


class AttemptKind(Enum):
    """What an attempt does."""

    TRAINING = "training"
    """Trains a child."""
    TEST_EVALUATION = "test_evaluation"
    """Evaluates the winner on the test part, once, after the search."""


class LostReason(Enum):
    """Why an attempt ended without an outcome of its own."""

    SERVER_RESTARTED = "server_restarted"
    """The server died with the attempt running; not the child's fault, so not counted against ``max_attempts``."""
    WORKER_EXITED = "worker_exited"
    WORKER_SIGNALLED = "worker_signalled"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    """No sign of progress before the deadline."""
    PROTOCOL_VIOLATED = "protocol_violated"
    """The worker said something that no worker says."""
    CANCELLED = "cancelled"
    """Ended because the search asked for it."""
    PREEMPTED = "preempted"
    """Ended because the server was asked to stop; blameless, the next server goes on from the checkpoint."""
    DISK_FULL = "disk_full"
    """No room for a checkpoint; blameless, tried again when there is room."""


class FailureReason(Enum):
    """Why a child has failed for good."""

    DIVERGED = "diverged"
    """The loss was no longer a finite number."""
    INFEASIBLE = "infeasible"
    """Out of memory twice with the same configuration."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    """``max_attempts`` attempts were lost."""
    REJECTED = "rejected"
    """The worker refused the request, for example because the data changed under the search."""


class StopReason(Enum):
    """Why a search stops asking for children."""

    ACCURACY_DECLINED = "accuracy_declined"
    """Best accuracy strictly below that of the iteration before: the paper's criterion (section III.D)."""
    MAX_ITERATIONS = "max_iterations"
    TIME_BUDGET = "time_budget"
    NO_VALID_CHILDREN = "no_valid_children"
    MAX_FAILED_CHILDREN = "max_failed_children"


class SearchFailure(Enum):
    """Why a search ended without a result."""

    NO_VALID_CHILDREN = "no_valid_children"
    """Nothing was trained successfully."""
    EVALUATION_FAILED = "evaluation_failed"
    """The winner could not be evaluated on the test part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCounts:
    """Images per class in the three parts of a data set, in class order."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def commonest(self) -> int:
        """The class with most training images, the first of them on a tie."""
        return self.train.index(max(self.train))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientCounts:
    """Who is in the parts of a data set, and that nobody is in two: counted when the parts had been made.

    Attributes:
        source: what says whose image it is.
        train, validation, test: patients of each part; 0 where images are divided one by one.
        leaks: patients (images where those are divided) in more than one part; a search with any is refused.
    """

    source: PatientSource
    train: int
    validation: int
    test: int
    leaks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """What a search knows about its data, fixed when it starts.

    Attributes:
        fingerprint: SHA-256 of the cached tensors, hexadecimal.
        split_fingerprint: SHA-256 of the parts' indices, hexadecimal.
        patients: in each part; None in journals of versions before 0.2.0.
    """

    shape: InputShape
    class_names: tuple[str, ...]
    counts: PartCounts
    fingerprint: str
    split_fingerprint: str
    patients: PatientCounts | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the server gives each worker of a search, fixed when it starts and reused after a restart.

    Attributes:
        threads: CPU threads of one worker; 1 and 2 threads give different bits.
        memory_limit_bytes: children whose training needs more by estimate are not proposed.
    """

    threads: int
    memory_limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything besides the request that the bits of a training depend on; the worker of an attempt reports it.

    Attributes:
        device: never AUTO.
        precision: never AUTO.
        threads: CPU threads.
        hardware: instruction sets of the processor, or the name of the accelerator.
        versions: of the libraries that compute, as (name, version), sorted by name.
    """

    device: Device
    precision: Precision
    threads: int
    hardware: str
    versions: tuple[tuple[str, str], ...]
