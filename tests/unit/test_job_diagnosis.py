# SPDX-License-Identifier: Apache-2.0
"""What the client says about a Job that does not run, or that has ended."""

from __future__ import annotations

import pods
import pytest

from client.cluster.diagnosis import obstacle, state
from client.cluster.endings import EXITS, Outcome, newest, outcome
from client.cluster.obstacles import Obstacle
from server.commands.exits import Exit

NO_GPU = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."
NO_CLAIM = 'persistentvolumeclaim "nas-data" not found'
QUOTA = 'pods "nas-search-x" is forbidden: exceeded quota: team, requested: memory=16Gi, used: memory=60Gi'


def unscheduled(message: str, *, gpus: int = 1) -> pods.Document:
    """A pod that no node takes."""
    lack = pods.condition("PodScheduled", "False", reason="Unschedulable", message=message)
    return pods.pod("a", lack, gpus=gpus)


def waiting(reason: str, message: str = "it said so") -> pods.Document:
    """A pod whose container does not start."""
    return pods.pod("a", waiting={"reason": reason, "message": message})


@pytest.mark.parametrize(
    ("found", "words", "is_final"),
    [
        ([unscheduled(NO_GPU)], ("no node has a free GPU", "--gpus", NO_GPU), False),
        ([unscheduled(NO_CLAIM)], ("a claim is not there", "kubectl get pvc", NO_CLAIM), False),
        ([unscheduled("0/5 nodes: 5 Insufficient memory.")], ("no node takes it", "Insufficient memory"), False),
        ([waiting("ErrImagePull")], ("cannot pull image registry.example/nas:1", "pull secret", "it said so"), False),
        ([waiting("ImagePullBackOff")], ("cannot pull image registry.example/nas:1", "it said so"), True),
        ([waiting("InvalidImageName")], ("cannot pull image",), True),
        ([waiting("CreateContainerConfigError")], ("cannot start the container", "it said so"), True),
    ],
)
def test_pod_that_does_not_run(found: list[pods.Document], words: tuple[str, ...], is_final: bool) -> None:
    """Each sentence holds what the cluster says and what to do, and waiting goes on where it may help."""
    hindrance = obstacle(pods.job(), found, [])

    assert hindrance
    assert is_final == hindrance.is_final
    assert [] == [word for word in words if word.rstrip(".") not in hindrance.sentence]
    assert hindrance.sentence.endswith(".")
    assert not hindrance.sentence.endswith("..")


@pytest.mark.parametrize(
    ("event", "words", "is_final"),
    [
        (
            pods.event("FailedCreate", QUOTA, seen="00:01"),
            ("quota of the namespace has no room", "ask for less, or wait", QUOTA),
            False,
        ),
        (
            pods.event("FailedCreate", 'pods "x" is forbidden: violates PodSecurity', seen="00:01"),
            ("makes no pod", "violates PodSecurity"),
            True,
        ),
    ],
)
def test_pod_that_is_not_made(event: pods.Document, words: tuple[str, ...], is_final: bool) -> None:
    """The Job's own events say why there is no pod."""
    others = [pods.event("FailedCreate", "not ours", about="other"), pods.event("SuccessfulCreate", "ours")]

    hindrance = obstacle(pods.job(), [], [*others, event])

    assert hindrance
    assert is_final == hindrance.is_final
    assert [] == [word for word in words if word not in hindrance.sentence]
    assert obstacle(pods.job(), [], others) is None


def test_suspended_job_waits() -> None:
    """In a queue it waits for room, without one for somebody."""
    queued, left = pods.job(suspend=True, queue="nas"), pods.job(suspend=True)

    assert Obstacle(sentence="Job nas-search waits in queue nas until the quota has room for it.") == obstacle(
        queued, [], []
    )
    assert Obstacle(sentence="Job nas-search is suspended; somebody has to let it go on.") == obstacle(left, [], [])


def test_nothing_is_in_the_way_of_a_pod_that_runs() -> None:
    """A pod that serves, or that is about to, needs no sentence."""
    assert obstacle(pods.job(), [pods.ready_pod("a")], []) is None
    assert obstacle(pods.job(), [pods.pod("a")], []) is None


def test_newest_pod_counts() -> None:
    """The one that was made last, and not one that is being deleted if there is another."""
    old, new, leaving = pods.ready_pod("old"), pods.ready_pod("new", made=1), pods.ready_pod("leaving", made=2)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T01:00:00Z"

    assert new == newest([new, leaving, old])
    assert leaving == newest([leaving])
    assert newest([]) is None


@pytest.mark.parametrize(
    ("reason", "exit_status", "sentence"),
    [
        ("PodFailurePolicy", 65, "Job nas-search has failed: its data cannot be used (exit status 65)."),
        (
            "BackoffLimitExceeded",
            70,
            "Job nas-search has failed: it failed too often; a bug of nas-server (exit status 70).",
        ),
        ("DeadlineExceeded", None, "Job nas-search has failed: it took longer than activeDeadlineSeconds allows."),
        ("Unheard", None, "Job nas-search has failed: the message."),
    ],
)
def test_failed_job(reason: str, exit_status: int | None, sentence: str) -> None:
    """The reason of the cluster and the exit status of the last pod make one sentence."""
    failed = pods.job(pods.condition("Failed", reason=reason, message="the message"))
    last = pods.pod("b", made=1, exit_status=exit_status)

    assert Outcome(is_success=False, sentence=sentence, pod="b") == outcome(
        failed, [pods.pod("a", exit_status=4), last]
    )


def test_every_exit_status_has_words() -> None:
    """What nas-server can end with, but success, means something to the client."""
    assert {status.value for status in Exit if status} | {137} == EXITS.keys()


def test_states() -> None:
    """One word for each situation."""
    done, failed = pods.job(pods.condition("Complete")), pods.job(pods.condition("Failed"))

    assert Outcome(is_success=True) == outcome(done, [])
    assert outcome(pods.job(pods.condition("Complete", "False")), []) is None
    assert ["succeeded", "failed"] == [state(done, []), state(failed, [])]
    assert ["queued", "pending"] == [state(pods.job(suspend=True), []), state(pods.job(), [])]
    assert "running" == state(pods.job(), [pods.ready_pod("a")])
