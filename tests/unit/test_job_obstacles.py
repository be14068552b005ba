# SPDX-License-Identifier: Apache-2.0
"""What keeps a Job from running, with the words of a real API server, Job controller, scheduler, kubelet and Kueue."""

from __future__ import annotations

from typing import Any

import pods
import pytest

from client.cluster.diagnosis import obstacle
from client.cluster.endings import ending

ASSIGN = "couldn't assign flavors to pod set main: "
FULL = f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor a100, 1 more needed"
UNCOVERED = f"{ASSIGN}resource ephemeral-storage unavailable in ClusterQueue"
TOO_MUCH = (
    f"{ASSIGN}insufficient quota for cpu in flavor default, "
    "previously considered podsets requests (0) + current podset request (10) > maximum capacity (8)"
)
HOLDER = (
    "0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
    "access mode. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
)
TAINTED = "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {nvidia.com/gpu: present}."
WEBHOOK = (
    'Internal error occurred: failed calling webhook "v.example": Post "https://v.svc/": connect: connection refused'
)
LIMIT_RANGE = 'pods "nas-search-x" is forbidden: maximum memory usage per Container is 4Gi, but limit is 16Gi'


def workload(reason: str, message: str, status: str = "False") -> pods.Document:
    """What Kueue says about the Job."""
    return {
        "metadata": {"name": "job-nas-search-1", "ownerReferences": [{"uid": pods.uid(pods.JOB)}]},
        "status": {"conditions": [pods.condition("QuotaReserved", status, reason=reason, message=message)]},
    }


def sentence(*found: pods.Document, events: tuple[pods.Document, ...] = (), job: pods.Document | None = None) -> str:
    """What is said about a Job and its pods."""
    hindrance = obstacle(job or pods.job(), list(found), events)
    return hindrance.sentence if hindrance else ""


@pytest.mark.parametrize(
    ("reason", "message", "is_final"),
    [
        ("Pending", FULL, False),
        ("Pending", UNCOVERED, True),
        ("Pending", TOO_MUCH, True),
        ("Pending", f"{TOO_MUCH}, {FULL}", False),  # a second flavor may have room later
        ("Inadmissible", "LocalQueue nas doesn't exist", True),
        ("Inadmissible", "ClusterQueue gpus is inactive", False),  # held, perhaps, until somebody lets it go on
        ("Misconfigured", "LocalQueue nas is terminating or missing", True),
        ("WaitingForQuota", FULL, False),
        ("WaitingForPreemptedWorkloads", "Preempting lower priority workloads", False),
        ("PendingEvaluation", "", False),
        ("NoMatchingFlavor", UNCOVERED, True),
        ("ExceedsMaxQuota", TOO_MUCH, True),
    ],
)
def test_queue_that_may_admit_is_told_from_one_that_never_can(reason: str, message: str, is_final: bool) -> None:
    """By the condition of the Workload, of Kueue before and after reasons of its own."""
    hindrance = obstacle(pods.job(suspend=True, queue="nas"), [], [], workload(reason, message))

    assert hindrance
    words = (
        "Queue nas can never admit job nas-search" if is_final else "Job nas-search waits in queue nas until the quota"
    )
    assert (is_final, True) == (hindrance.is_final, hindrance.sentence.startswith(words))
    assert message in hindrance.sentence


@pytest.mark.parametrize(
    "events",
    [
        [pods.event("FailedCreate", "is forbidden", about="other")],  # an earlier Job of this name has another uid
        [pods.event("FailedCreate", "is forbidden", seen="00:00"), pods.event("SuccessfulCreate", "x", seen="59:00")],
        [pods.event("FailedCreate", "is forbidden", seen="00:00"), pods.event("Resumed", "x", seen="59:00")],
    ],
)
def test_refusal_that_is_over_is_not_taken_as_one(events: list[pods.Document]) -> None:
    """An event counts for its own Job, and only as the last thing that happened."""
    events[0]["involvedObject"]["name"] = pods.JOB

    assert obstacle(pods.job(), [], events) is None


def test_refusal_of_before_a_resumption_is_over() -> None:
    """A Job that was resumed since has a later start."""
    job = pods.job()
    job["status"]["startTime"] = "2026-01-01T01:00:00Z"

    assert obstacle(job, [], [pods.event("FailedCreate", "is forbidden")]) is None


@pytest.mark.parametrize(
    ("message", "words", "is_final"),
    [
        (WEBHOOK, "makes no pod for job nas-search, and tries again", False),
        ("etcdserver: request timed out", "and tries again", False),
        (LIMIT_RANGE, "choose other --memory or --cpus", True),
        ('admission webhook "v.example" denied the request: no', "makes no pod for job nas-search: ", True),
    ],
)
def test_only_a_refusal_that_stays_is_final(message: str, words: str, is_final: bool) -> None:
    """The Job controller tries again; what a rule forbids, it forbids again."""
    hindrance = obstacle(pods.job(), [], [pods.event("FailedCreate", message)])

    assert hindrance
    assert (is_final, True) == (hindrance.is_final, words in hindrance.sentence)
    assert message in hindrance.sentence


def test_lost_node_is_named() -> None:
    """The node controller marks the pod as not ready; what its silent kubelet said last still stands there."""
    lost = pods.pod("a", pods.condition("Ready", "False"), pods.condition("ContainersReady"))
    lost["spec"]["nodeName"] = "gpu-7"
    going = {**lost, "metadata": {**lost["metadata"], "deletionTimestamp": "2026-01-01T00:06:00Z"}}

    assert "Node gpu-7 of pod a does not answer" in sentence(lost)
    assert "kubectl delete node" in sentence(going)


def test_pod_that_is_being_stopped_says_why() -> None:
    """With the message of whoever disrupts it."""
    target = pods.condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="Eviction API: evicting")
    leaving = pods.pod("a", target)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:06:00Z"

    assert "Pod a is being stopped; the next one is made when it is gone: Eviction API: evicting." == sentence(leaving)


def test_job_between_failed_pods_says_how_the_last_one_ended() -> None:
    """And how many may still follow."""
    job = pods.job()
    job["spec"]["backoffLimit"], job["status"]["failed"] = 6, 2

    found = sentence(pods.pod("a", exit_status=75), job=job)

    assert "Pod a has ended: it was stopped, or its disk is full (exit status 75)" in found
    assert found.endswith("(2 of at most 7 failed).")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (137, "OOMKilled", "it needed more memory than its limit, so allow more with --memory (exit status 137)"),
        (137, "Error", "it was killed, perhaps because it needed more memory than its limit (exit status 137)"),
        (139, "Error", "it was ended by SIGSEGV (exit status 139)"),
        (143, "Error", "it was ended by SIGTERM (exit status 143)"),
        (1, "Error", "its container ended with exit status 1, which nas-server does not use"),
        (200, "Error", "its container ended with exit status 200, which nas-server does not use"),
        (128, "StartError", "its container ended with exit status 128, StartError"),
        (0, "Completed", ""),
    ],
)
def test_every_exit_names_its_status(code: int, reason: str, words: str) -> None:
    """Those that nas-server does not use, too."""
    pod = pods.pod("a", exit_status=code)
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = reason

    assert words == ending(pod)


def test_pod_that_the_kubelet_ended_says_why() -> None:
    """Such a pod may have no container that ended."""
    evicted = pods.pod("a")
    evicted["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}

    assert "Evicted: The node was low on resource: memory" == ending(evicted)


def unscheduled(message: str, **more: Any) -> pods.Document:
    """A pod that no node takes."""
    return pods.pod("a", pods.condition("PodScheduled", "False", reason="Unschedulable", message=message), **more)


@pytest.mark.parametrize("message", [TAINTED, "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."])
def test_search_on_cpus_is_not_told_of_gpus(message: str) -> None:
    """It asked for none, so the advice is about processors and memory."""
    found = sentence(unscheduled(message))

    assert "ask for less with --cpus or --memory" in found
    assert "--gpus" not in found


def test_claim_that_another_pod_holds() -> None:
    """Whether the scheduler says so or the attach controller, the loader is named as what it may be."""
    waiting = pods.pod("a", waiting={"reason": "ContainerCreating"})
    attach = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) nas-loader'
    event = pods.event("FailedAttachVolume", attach, about="a", kind="Pod")

    for found in (sentence(unscheduled(HOLDER)), sentence(waiting, events=(event,))):
        assert "Pod a waits for a claim that another pod holds; delete that pod, nas-loader perhaps" in found
    assert "" == sentence(waiting)


def test_volume_that_cannot_be_mounted() -> None:
    """The kubelet's words, and where to look."""
    waiting = pods.pod("a", waiting={"reason": "ContainerCreating"})
    event = pods.event("FailedMount", "MountVolume.SetUp failed for volume", about="a", kind="Pod")

    assert "Pod a does not get its volumes; see `kubectl get pvc`: MountVolume" in sentence(waiting, events=(event,))
