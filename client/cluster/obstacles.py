# SPDX-License-Identifier: Apache-2.0
"""Why a pod does not run, in words: pure functions of what the cluster says about a Job, its pods and their events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from client.cluster.endings import containers, ending, has_failed, status
from client.cluster.plan import GPU, QUEUE_LABEL, Document

_PULL = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_OF_JOBS = ("FailedCreate", "SuccessfulCreate", "SuccessfulDelete", "Suspended", "Resumed")
"""Reasons of events that say what the Job controller did last."""
_OF_VOLUMES = ("FailedAttachVolume", "FailedMount", "FailedMapVolume")

# Reasons of Kueue with its feature UnadmittedWorkloadsObservability; without it the reason is Pending or Inadmissible
# and only the message tells. A queue that is inactive may only be held for a while.
_NEVER_FITS = ("ExceedsMaxQuota", "NoMatchingFlavor")
_MAY_FIT = re.compile(r"insufficient unused quota|more needed|preempt|waiting|is inactive", re.IGNORECASE)
_CANNOT_FIT = re.compile(
    r"unavailable in ClusterQueue|> maximum capacity|does not provide resource|"
    r"(LocalQueue|ClusterQueue) \S+ (doesn't exist|is terminating or missing)|"
    r"untolerated taint|doesn't match node affinity"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why nothing runs.

    Attributes:
        sentence: for a person, with what to do.
        is_final: whether waiting is in vain.
    """

    sentence: str
    is_final: bool = False


def of_suspension(job: Document, workload: Document | None) -> Obstacle:
    """Why a suspended Job waits.

    Args:
        job: the Job.
        workload: what Kueue says about it; None if it has not said anything, or the user may not look.
    """
    name = job["metadata"]["name"]
    queue = (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
    if not queue:
        return Obstacle(sentence=f"Job {name} is suspended; somebody has to let it go on.")
    reserved = _condition(workload, "QuotaReserved") if workload else None
    if reserved is None or reserved["status"] == "True":
        return Obstacle(sentence=f"Job {name} waits in queue {queue} until the quota has room for it.")
    message = str(reserved.get("message") or reserved.get("reason") or "Kueue does not say why").rstrip(".")
    if _can_never_fit(str(reserved.get("reason") or ""), message):
        sentence = f"Queue {queue} can never admit job {name}; ask for less, or ask its administrator: {message}."
        return Obstacle(sentence=sentence, is_final=True)
    return Obstacle(sentence=f"Job {name} waits in queue {queue} until the quota has room for it: {message}.")


def of_creation(job: Document, events: Iterable[Document]) -> Obstacle | None:
    """Why the cluster makes no pod, by the last thing that the Job controller did for this very Job."""
    uid, started = job["metadata"].get("uid"), str(status(job).get("startTime") or "")
    own = [event for event in events if _about(event) == uid and event.get("reason") in _OF_JOBS]
    last = max(own, key=_time, default=None)
    if last is None or last["reason"] != "FailedCreate" or _time(last) < started.removesuffix("Z"):
        return None
    name, message = job["metadata"]["name"], str(last.get("message") or "").rstrip(".")
    if "exceeded quota" in message:
        sentence = f"The quota of the namespace has no room for job {name}; ask for less, or wait: {message}."
        return Obstacle(sentence=sentence)
    if re.search(r"usage per (Container|Pod) is", message):
        sentence = f"The namespace does not permit a pod of that size for job {name}; choose other --memory or --cpus"
        return Obstacle(sentence=f"{sentence}: {message}.", is_final=True)
    is_final = bool(re.search(r"is forbidden|denied the request|is invalid", message))
    again = "" if is_final else ", and tries again"
    return Obstacle(sentence=f"The cluster makes no pod for job {name}{again}: {message}.", is_final=is_final)


def of_pod(job: Document, pod: Document, events: Iterable[Document]) -> Obstacle | None:
    """Why the newest pod of a Job does not serve, None if nothing is in its way."""
    if has_failed(pod):
        return _between_pods(job, pod)
    return _lost_node(pod) or _termination(pod) or _image(pod) or _volume(pod, events) or _scheduling(pod)


def _can_never_fit(reason: str, message: str) -> bool:
    if reason in _NEVER_FITS:
        return True
    # Of several flavors one that may have room later is enough.
    return bool(_CANNOT_FIT.search(message)) and not _MAY_FIT.search(message)


def _between_pods(job: Document, pod: Document) -> Obstacle:
    words = ending(pod) or "the cluster does not say why"
    failed, limit = status(job).get("failed") or 1, job["spec"].get("backoffLimit")
    count = f" ({failed} of at most {int(limit) + 1} failed)" if limit is not None else ""
    sentence = f"Pod {pod['metadata']['name']} has ended: {words}; the cluster makes another one after a pause of up to"
    return Obstacle(sentence=f"{sentence} 10 min{count}.")


def _lost_node(pod: Document) -> Obstacle | None:
    """A node that does not answer: its pod is marked as not ready while its containers are still said to be."""
    ready, inner = _condition(pod, "Ready"), _condition(pod, "ContainersReady")
    is_silent = ready is not None and ready["status"] != "True" and inner is not None and inner["status"] == "True"
    if not is_silent and status(pod).get("reason") != "NodeLost":
        return None
    node = pod["spec"].get("nodeName") or "of it"
    return Obstacle(
        sentence=f"Node {node} of pod {pod['metadata']['name']} does not answer; the cluster makes another pod when "
        "the node is back, or is deleted (`kubectl delete node`), as only then the claim is free."
    )


def _termination(pod: Document) -> Obstacle | None:
    if not pod["metadata"].get("deletionTimestamp"):
        return None
    target = _condition(pod, "DisruptionTarget")
    why = str((target or {}).get("message") or "").rstrip(".")
    sentence = f"Pod {pod['metadata']['name']} is being stopped; the next one is made when it is gone"
    return Obstacle(sentence=f"{sentence}{f': {why}' if why else ''}.")


def _image(pod: Document) -> Obstacle | None:
    """Why the program does not start on its node."""
    for container in containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), str(waiting.get("message") or "no details").rstrip(".")
        if reason in _PULL:
            sentence = f"The node cannot pull image {container['image']}; check its name and the pull secret of"
            # The first error is followed by another try; backing off is what follows the second.
            return Obstacle(sentence=f"{sentence} service account nas: {message}.", is_final=reason != "ErrImagePull")
        if reason in _CREATE:
            return Obstacle(sentence=f"The node cannot start the container: {message}.", is_final=True)
    return None


def _volume(pod: Document, events: Iterable[Document]) -> Obstacle | None:
    """Why a pod that has its node does not get its volumes."""
    if any((container.get("state") or {}).get("running") is not None for container in containers(pod)):
        return None
    uid = pod["metadata"].get("uid")
    last = max(
        (event for event in events if _about(event) == uid and event.get("reason") in _OF_VOLUMES),
        key=_time,
        default=None,
    )
    if last is None:
        return None
    name, message = pod["metadata"]["name"], str(last.get("message") or "").rstrip(".")
    if "Multi-Attach" in message:
        return Obstacle(sentence=_held_claim(name, message))
    return Obstacle(sentence=f"Pod {name} does not get its volumes; see `kubectl get pvc`: {message}.")


def _scheduling(pod: Document) -> Obstacle | None:
    """Why no node takes the pod."""
    condition = _condition(pod, "PodScheduled")
    if condition is None or condition["status"] != "False":
        return None
    message, name = str(condition.get("message") or "").rstrip("."), pod["metadata"]["name"]
    if "ReadWriteOncePod access mode" in message:
        return Obstacle(sentence=_held_claim(name, message))
    if f"Insufficient {GPU}" in message and _asks_for_gpus(pod):
        advice = "no node has a free GPU; wait, ask for fewer with --gpus, or train on CPUs with --gpus 0"
    elif "persistentvolume" in message.lower() or "volume" in message:
        advice = "a claim is not there or has no volume; see `kubectl get pvc`"
    else:
        advice = "no node takes it; wait, or ask for less with --cpus or --memory"
    return Obstacle(sentence=f"Pod {name} is pending, {advice}: {message}.")


def _held_claim(pod: str, message: str) -> str:
    sentence = f"Pod {pod} waits for a claim that another pod holds; delete that pod, nas-loader perhaps, if nobody"
    return f"{sentence} needs it (`kubectl get pods`): {message}."


def _asks_for_gpus(pod: Document) -> bool:
    return any(
        GPU in ((each.get("resources") or {}).get("limits") or {}) for each in pod["spec"].get("containers") or ()
    )


def _condition(document: Document, kind: str) -> dict[str, Any] | None:
    for condition in status(document).get("conditions") or ():
        if condition["type"] == kind:
            return dict(condition)
    return None


def _about(event: Document) -> str | None:
    uid: str | None = (event.get("involvedObject") or {}).get("uid")
    return uid


def _time(event: Document) -> str:
    """When an event was last seen; the times of an API server sort like texts, but for the Z at their end."""
    found = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(found or event["metadata"].get("creationTimestamp") or "").removesuffix("Z")
