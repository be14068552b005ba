# SPDX-License-Identifier: Apache-2.0
"""The Jobs of a namespace as rows of a table."""

from __future__ import annotations

from client.cluster.api import OURS, Cluster, is_owned
from client.cluster.diagnosis import obstacle, state
from client.cluster.endings import outcome
from client.cluster.inquiry import workload_of
from client.cluster.plan import BLOCK_ANNOTATION, DATASET_ANNOTATION, Document


def rows(cluster: Cluster) -> list[dict[str, str]]:
    """One row per Job, newest first.

    Raises:
        ClientError: the cluster refuses, or has no such namespace.
    """
    jobs = sorted(cluster.find_all("Job", **OURS), key=_made, reverse=True)
    if not jobs:
        cluster.require_namespace()
        return []
    pods, events = cluster.find_all("Pod", **OURS), cluster.events()
    workloads = cluster.workloads() if any(job["spec"].get("suspend") for job in jobs) else []
    return [_row(job, [pod for pod in pods if is_owned(pod, job)], events, workload_of(job, workloads)) for job in jobs]


def _row(job: Document, pods: list[Document], events: list[Document], workload: Document | None) -> dict[str, str]:
    annotations = job["metadata"].get("annotations") or {}
    ended = outcome(job, pods)
    hindrance = None if ended else obstacle(job, pods, events, workload)
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
