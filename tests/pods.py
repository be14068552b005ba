# SPDX-License-Identifier: Apache-2.0
"""What a cluster says about Jobs, pods and events, as the API server writes it."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
JOB = "nas-search"


def uid(name: str) -> str:
    """The identity that the mock cluster gives to an object of a name."""
    return f"uid-of-{name}"


def job(*conditions: Document, suspend: bool = False, queue: str | None = None) -> Document:
    """A Job."""
    labels = {"kueue.x-k8s.io/queue-name": queue} if queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "uid": uid(JOB), "labels": labels},
        "spec": {"suspend": suspend},
        "status": {"conditions": list(conditions)},
    }


def condition(kind: str, status: str = "True", *, reason: str = "", message: str = "") -> Document:
    """A condition of a Job or of a pod."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def pod(
    name: str,
    *conditions: Document,
    owner: str = JOB,
    made: int = 0,
    waiting: Document | None = None,
    exit_status: int | None = None,
    gpus: int = 0,
) -> Document:
    """A pod of a Job.

    Args:
        name: of the pod.
        conditions: of the pod.
        owner: the Job.
        made: minutes after the others.
        waiting: why its container does not start, if it does not.
        exit_status: of its container, if that has ended.
        gpus: that it asks for.
    """
    state: Document = {"running": {}}
    if waiting is not None:
        state = {"waiting": waiting}
    elif exit_status is not None:
        state = {"terminated": {"exitCode": exit_status}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "uid": uid(name),
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": uid(owner), "controller": True}
            ],
            "labels": {"batch.kubernetes.io/job-name": owner, "app.kubernetes.io/name": "seib-nas"},
            "creationTimestamp": f"2026-01-01T00:{made:02d}:00Z",
        },
        "spec": {"containers": [{"name": "nas", "resources": {"limits": {"nvidia.com/gpu": gpus} if gpus else {}}}]},
        "status": {
            "conditions": list(conditions),
            "containerStatuses": [
                {
                    **{"name": "nas", "image": "registry.example/nas:1", "imageID": ""},
                    **{"ready": True, "restartCount": 0, "state": state},
                }
            ],
        },
    }


def ready_pod(name: str, *, owner: str = JOB, made: int = 0) -> Document:
    """A pod whose server serves."""
    return pod(name, condition("Ready"), owner=owner, made=made)


def event(reason: str, message: str, *, about: str = JOB, kind: str = "Job", seen: str = "00:00") -> Document:
    """An event about a Job or a pod, last seen at a minute and second of the first hour of 2026."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about}.{reason}"},
        "involvedObject": {"kind": kind, "name": about, "uid": uid(about)},
        "lastTimestamp": f"2026-01-01T00:{seen}Z",
        "reason": reason,
        "message": message,
    }
