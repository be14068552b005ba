# SPDX-License-Identifier: Apache-2.0
"""What an attempt is for, and why attempts, children and searches end."""

from __future__ import annotations

from enum import Enum


class AttemptKind(Enum):
    """What an attempt does."""

    TRAINING = "training"
    """Trains a child."""
    TEST_EVALUATION = "test_evaluation"
    """Evaluates the winner on the test part, once, after the search."""


class LostReason(Enum):
    """Why an attempt ended without an outcome of its own."""

    SERVER_RESTARTED = "server_restarted"
    """The server died while the attempt was running. Not counted against ``max_attempts``."""
    WORKER_EXITED = "worker_exited"
    WORKER_SIGNALLED = "worker_signalled"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    """No sign of progress before the deadline."""
    PROTOCOL_VIOLATED = "protocol_violated"
    """The worker sent what is no line of the protocol, or a report that no worker would send."""
    CANCELLED = "cancelled"
    """Ended because the search asked for it."""
    PREEMPTED = "preempted"
    """The server was asked to stop. Not counted; the next server continues from the checkpoint."""
    DISK_FULL = "disk_full"
    """The disk has no space for a checkpoint. Not counted; tried again once there is space."""


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
