# SPDX-License-Identifier: Apache-2.0
"""What a Job is up to, in words: pure functions of what the cluster says about it, its pods and their events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from client.cluster.plan import GPU, QUEUE_LABEL, Document

EXITS = {
    4: "the search has failed",
    64: "wrong usage of nas-server",
    65: "its data cannot be used",
    70: "a bug of nas-server",
    73: "another server has the state folder",
    74: "its journal is damaged, or its disk failed",
    75: "it was stopped, or its disk is full",
    78: "a setting cannot be used",
    137: "it was killed, perhaps because it needed more memory than its limit",
}
"""What the exit statuses of ``nas-server run`` mean; the rest of them has no meaning of its own."""

_REASONS = {
    "BackoffLimitExceeded": "it failed too often",
    "DeadlineExceeded": "it took longer than activeDeadlineSeconds allows",
}
_PULL = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why nothing runs.

    Attributes:
        sentence: for a person, with what to do.
        is_final: whether waiting is in vain.
    """

    sentence: str
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a Job has ended.

    Attributes:
        is_success: whether its search succeeded.
        sentence: why not; empty if it did.
        pod: the one that tells more, "" if there is none left.
    """

    is_success: bool
    sentence: str = ""
    pod: str = ""


def outcome(job: Document, pods: Sequence[Document]) -> Outcome | None:
    """How a Job has ended, None if it has not."""
    conditions = {each["type"]: each for each in _status(job).get("conditions") or () if each["status"] == "True"}
    if "Complete" in conditions:
        return Outcome(is_success=True)
    if "Failed" not in conditions:
        return None
    reason = conditions["Failed"].get("reason", "")
    last = newest(pods)
    code = _exit_code(last)
    why = EXITS.get(code) if code is not None else None
    name = job["metadata"]["name"]
    words = "; ".join(filter(None, (_REASONS.get(reason, ""), why and f"{why} (exit status {code})")))
    if not words:
        words = conditions["Failed"].get("message") or reason or "the cluster does not say why"
    return Outcome(
        is_success=False,
        sentence=f"Job {name} has failed: {words.rstrip('.')}.",
        pod=last["metadata"]["name"] if last else "",
    )


def obstacle(job: Document, pods: Sequence[Document], events: Iterable[Document]) -> Obstacle | None:
    """Why a Job that has not ended does not run, None if nothing is in its way."""
    name = job["metadata"]["name"]
    if job["spec"].get("suspend"):
        queue = (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
        if queue:
            return Obstacle(sentence=f"Job {name} waits in queue {queue} until the quota has room for it.")
        return Obstacle(sentence=f"Job {name} is suspended; somebody has to let it go on.")
    pod = newest(pods)
    if pod is None:
        return _creation_obstacle(name, events)
    return _image_obstacle(pod) or _scheduling_obstacle(pod)


def newest(pods: Sequence[Document]) -> Document | None:
    """The pod that was made last and is not on its way out, if there is one."""
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")] or list(pods)
    return max(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)


def is_ready(pod: Document) -> bool:
    """Whether a pod's server says that it serves."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in _status(pod).get("conditions") or ())


def state(job: Document, pods: Sequence[Document]) -> str:
    """One word for a table."""
    ended = outcome(job, pods)
    if ended is not None:
        return "succeeded" if ended.is_success else "failed"
    if job["spec"].get("suspend"):
        return "queued"
    pod = newest(pods)
    return "running" if pod is not None and is_ready(pod) else "pending"


def _status(document: Document) -> dict[str, Any]:
    return document.get("status") or {}


def _containers(pod: Document) -> list[dict[str, Any]]:
    return _status(pod).get("containerStatuses") or []


def _exit_code(pod: Document | None) -> int | None:
    for container in _containers(pod) if pod else ():
        terminated = (container.get("state") or {}).get("terminated")
        if terminated:
            return int(terminated["exitCode"])
    return None


def _creation_obstacle(name: str, events: Iterable[Document]) -> Obstacle | None:
    """Why the cluster makes no pod."""
    for event in events:
        about = event.get("involvedObject") or {}
        if (about.get("kind"), about.get("name"), event.get("reason")) != ("Job", name, "FailedCreate"):
            continue
        message = str(event.get("message") or "").rstrip(".")
        if "exceeded quota" in message:
            sentence = f"The quota of the namespace has no room for job {name}; ask for less, or wait: {message}."
            return Obstacle(sentence=sentence)
        return Obstacle(sentence=f"The cluster makes no pod for job {name}: {message}.", is_final=True)
    return None


def _image_obstacle(pod: Document) -> Obstacle | None:
    """Why the program does not start on its node."""
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), str(waiting.get("message") or "no details").rstrip(".")
        if reason in _PULL:
            sentence = f"The node cannot pull image {container['image']}; check its name and the pull secret of"
            # The first error is followed by another try; backing off is what follows the second.
            return Obstacle(sentence=f"{sentence} service account nas: {message}.", is_final=reason != "ErrImagePull")
        if reason in _CREATE:
            return Obstacle(sentence=f"The node cannot start the container: {message}.", is_final=True)
    return None


def _scheduling_obstacle(pod: Document) -> Obstacle | None:
    """Why no node takes the pod."""
    for condition in _status(pod).get("conditions") or ():
        if (condition["type"], condition["status"]) != ("PodScheduled", "False"):
            continue
        message = str(condition.get("message") or "").rstrip(".")
        name = pod["metadata"]["name"]
        if GPU in message:
            advice = "no node has a free GPU; wait, ask for fewer with --gpus, or train on CPUs with --gpus 0"
        elif "persistentvolumeclaim" in message.lower():
            advice = "a claim is not there or has no volume; see `kubectl get pvc`"
        else:
            advice = "no node takes it; wait, or ask for less"
        return Obstacle(sentence=f"Pod {name} is pending, {advice}: {message}.")
    return None
