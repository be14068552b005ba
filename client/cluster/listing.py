# SPDX-License-Identifier: Apache-2.0
"""The Jobs of a namespace as rows of a table."""

from __future__ import annotations

from client.cluster.api import JOB_LABEL, OURS, Cluster
from client.cluster.diagnosis import obstacle, outcome, state
from client.cluster.plan import BLOCK_ANNOTATION, DATASET_ANNOTATION, Document


def rows(cluster: Cluster) -> list[dict[str, str]]:
    """One row a Job, newest first.

    Raises:
        ClientError: the cluster refuses.
    """
    jobs = sorted(cluster.find_all("Job", **OURS), key=_made, reverse=True)
    pods = cluster.find_all("Pod", **OURS) if jobs else []
    events = cluster.find_all("Event") if jobs else []
    return [_row(job, [pod for pod in pods if _belongs(pod, job)], events) for job in jobs]


def _row(job: Document, pods: list[Document], events: list[Document]) -> dict[str, str]:
    annotations = job["metadata"].get("annotations") or {}
    ended = outcome(job, pods)
    hindrance = None if ended else obstacle(job, pods, events)
    return {
        "job": job["metadata"]["name"],
        "state": state(job, pods),
        "dataset": annotations.get(DATASET_ANNOTATION, "-"),
        "block": annotations.get(BLOCK_ANNOTATION, "-"),
        "made": _made(job),
        "why": (ended.sentence if ended else "") or (hindrance.sentence if hindrance else "") or "-",
    }


def _made(job: Document) -> str:
    return str(job["metadata"].get("creationTimestamp") or "-")


def _belongs(pod: Document, job: Document) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return bool(labels.get(JOB_LABEL) == job["metadata"]["name"])
