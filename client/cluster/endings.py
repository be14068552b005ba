# SPDX-License-Identifier: Apache-2.0
"""How Jobs and pods end, in words: pure functions of what the cluster says about them."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from client.cluster.plan import Document

CONTAINER = "nas"
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
"""What the exit statuses of ``nas-server run`` mean."""

_REASONS = {
    "BackoffLimitExceeded": "it failed too often",
    "DeadlineExceeded": "it took longer than activeDeadlineSeconds allows",
}


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
    conditions = {each["type"]: each for each in status(job).get("conditions") or () if each["status"] == "True"}
    if "Complete" in conditions:
        return Outcome(is_success=True)
    if "Failed" not in conditions:
        return None
    reason = conditions["Failed"].get("reason", "")
    last = newest(pods)
    words = "; ".join(filter(None, (_REASONS.get(reason, ""), ending(last) if last else "")))
    if not words:
        words = conditions["Failed"].get("message") or reason or "the cluster does not say why"
    return Outcome(
        is_success=False,
        sentence=f"Job {job['metadata']['name']} has failed: {words.rstrip('.')}.",
        pod=last["metadata"]["name"] if last else "",
    )


def ending(pod: Document) -> str:
    """Why a pod has ended without success, with its exit status; "" if it has not, or nothing is known."""
    found = _terminated(pod)
    if found is not None and found.get("exitCode"):
        return _exit_words(int(found["exitCode"]), str(found.get("reason") or ""))
    if has_failed(pod):  # ended by the kubelet: Evicted, UnexpectedAdmissionError, NodeLost
        said = status(pod)
        return ": ".join(filter(None, (said.get("reason"), str(said.get("message") or "").rstrip(". "))))
    return ""


def has_failed(pod: Document) -> bool:
    """Whether a pod has ended without success."""
    found = _terminated(pod)
    return status(pod).get("phase") == "Failed" or bool(found is not None and found.get("exitCode"))


def newest(pods: Sequence[Document]) -> Document | None:
    """The pod that was made last and is not on its way out, if there is one."""
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")] or list(pods)
    return max(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)


def status(document: Document) -> dict[str, Any]:
    """The status of an object; empty if nobody has written one yet."""
    return document.get("status") or {}


def containers(pod: Document) -> list[dict[str, Any]]:
    """What is known about a pod's containers, the server's first."""
    found = status(pod).get("containerStatuses") or []
    return sorted(found, key=lambda container: bool(container.get("name") != CONTAINER))


def _terminated(pod: Document) -> dict[str, Any] | None:
    for container in containers(pod):
        terminated: dict[str, Any] | None = (container.get("state") or {}).get("terminated")
        if terminated:
            return terminated
    return None


def _exit_words(code: int, reason: str) -> str:
    if reason == "OOMKilled":
        return f"it needed more memory than its limit, so allow more with --memory (exit status {code})"
    if code in EXITS:
        return f"{EXITS[code]} (exit status {code})"
    if 128 < code < 128 + signal.NSIG:
        try:
            return f"it was ended by {signal.Signals(code - 128).name} (exit status {code})"
        except ValueError:
            pass
    if reason not in ("", "Error", "Completed"):  # the container's program was never there
        return f"its container ended with exit status {code}, {reason}"
    return f"its container ended with exit status {code}, which nas-server does not use"
