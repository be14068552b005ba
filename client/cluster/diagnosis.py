# SPDX-License-Identifier: Apache-2.0
"""What a Job is up to: pure functions of what the cluster says about it, its pods, their events and its queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.cluster.endings import newest, outcome, status
from client.cluster.obstacles import Obstacle, of_creation, of_pod, of_suspension
from client.cluster.plan import Document


def obstacle(
    job: Document, pods: Sequence[Document], events: Iterable[Document], workload: Document | None = None
) -> Obstacle | None:
    """Why a Job that has not ended does not run, None if nothing is in its way.

    Args:
        job: the Job.
        pods: that it has made.
        events: about anything; those about the Job and its pods count.
        workload: what Kueue says about the Job, if it says anything.
    """
    if job["spec"].get("suspend"):
        return of_suspension(job, workload)
    pod = newest(pods)
    return of_creation(job, events) if pod is None else of_pod(job, pod, events)


def is_ready(pod: Document) -> bool:
    """Whether a pod's server says that it serves."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status(pod).get("conditions") or ())


def state(job: Document, pods: Sequence[Document]) -> str:
    """One word for a table."""
    ended = outcome(job, pods)
    if ended is not None:
        return "succeeded" if ended.is_success else "failed"
    if job["spec"].get("suspend"):
        return "queued"
    pod = newest(pods)
    return "running" if pod is not None and is_ready(pod) else "pending"
