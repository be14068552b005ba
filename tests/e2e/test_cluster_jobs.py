# SPDX-License-Identifier: Apache-2.0
"""``submit`` and ``jobs`` against a Kubernetes API over HTTP, with the server that the Job describes behind kubectl."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pods
import pytest
import yaml
from cluster_jobs import JOBS_PATH, SUBMIT, begin, client, finish, run_pod, server_of
from mock_cluster import MockCluster
from real_server import wait_for


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MockCluster]:
    """A cluster without anything in it."""
    with MockCluster(tmp_path) as cluster:
        yield cluster


def test_submitted_search_is_watched_to_its_end(cluster: MockCluster, tmp_path: Path) -> None:
    """The Job, its claim, its account and its policy are made; events arrive; the status is that of the search."""
    process = begin(cluster, *SUBMIT)
    server = server_of(cluster, tmp_path / "pod", 0.01)
    run_pod(cluster, "nas-search-a", server)

    output, talk = process.communicate(timeout=60)
    server.kill()

    assert (0, False) == (process.returncode, "Traceback" in talk)
    assert "Job nas-search is in namespace ml." in talk
    assert "search started: " in output
    assert "succeeded after" in output
    assert ["nas-search-state"] == [each["metadata"]["name"] for each in cluster.find_all("PersistentVolumeClaim")]
    assert ["nas"] == [each["metadata"]["name"] for each in cluster.find_all("ServiceAccount")]
    assert ["nas"] == [each["metadata"]["name"] for each in cluster.find_all("NetworkPolicy")]


def test_eviction_is_survived(cluster: MockCluster, tmp_path: Path) -> None:
    """The pod is evicted in the middle; from the next one the client goes on, without a gap or a repetition."""
    process = begin(cluster, *SUBMIT, "--output", "jsonl")
    server = server_of(cluster, tmp_path / "pod", 60)
    run_pod(cluster, "nas-search-a", server)
    assert process.stdout
    first = "".join(process.stdout.readline() for _ in range(8))

    status = server.stop()
    cluster.remove("Pod", "nas-search-a")
    server.environment = {"NAS_FAKE_EPOCH_SECONDS": "0"}
    run_pod(cluster, "nas-search-b", server, made=1)
    output = first + process.stdout.read()  # communicate would pass over what came together with the first ones
    _, talk = process.communicate(timeout=60)
    server.kill()

    events = [json.loads(line) for line in output.splitlines()]
    assert (75, 0) == (status, process.returncode), talk
    assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]
    assert "search_succeeded" in events[-1]


def test_interrupt_leaves_the_job(cluster: MockCluster, tmp_path: Path) -> None:
    """Ctrl-C says how to come back, and `attach` shows the search from its first event."""
    process = begin(cluster, *SUBMIT, "--output", "jsonl")
    server = server_of(cluster, tmp_path / "pod", 60)
    run_pod(cluster, "nas-search-a", server)
    assert process.stdout
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=60)

    server.stop()
    server.environment = {"NAS_FAKE_EPOCH_SECONDS": "0"}
    run_pod(cluster, "nas-search-a", server)
    status, output, _ = client(cluster, "jobs", "attach", pods.JOB, "--output", "jsonl")
    server.kill()

    assert 130 == process.returncode
    assert "come back with: nas-client jobs attach nas-search --namespace ml" in talk
    assert (0, first.rstrip()) == (status, output.splitlines()[0])


def test_quota(cluster: MockCluster) -> None:
    """A full quota is said with the cluster's words, the job stays and waits for room."""
    cluster.put("Event", pods.event("FailedCreate", "pods is forbidden: exceeded quota: team"))

    status, _, talk = client(cluster, *SUBMIT, "--wait", "1s")

    assert 5 == status
    assert "The quota of the namespace has no room for job nas-search" in talk
    assert "The job stays; look again with `nas-client jobs attach nas-search --namespace ml`" in talk
    assert 1 == len(cluster.find_all("Job"))


def test_quota_of_the_job_itself(cluster: MockCluster) -> None:
    """A cluster that takes no further Job keeps nothing of it, not even its claim."""
    cluster.refuse(f"post {JOBS_PATH}", 403, 'jobs.batch "x" is forbidden: exceeded quota: team, limited: count/jobs=2')

    status, _, talk = client(cluster, *SUBMIT)

    assert 5 == status
    assert "The quota of namespace ml has no room for Job nas-search" in talk
    assert [] == cluster.find_all("PersistentVolumeClaim")


def test_pending_for_lack_of_gpus(cluster: MockCluster, tmp_path: Path) -> None:
    """The sentence names the GPUs; when one is free, the search is watched as if nothing had been."""
    process = begin(cluster, *SUBMIT, "--gpus", "1")
    server = server_of(cluster, tmp_path / "pod", 0.01)
    lack = pods.condition("PodScheduled", "False", message="0/5 nodes are available: 5 Insufficient nvidia.com/gpu.")
    cluster.put("Pod", pods.pod("nas-search-a", lack, gpus=1))
    assert process.stderr
    talk = [process.stderr.readline() for _ in range(2)]

    run_pod(cluster, "nas-search-a", server)
    process.communicate(timeout=60)
    server.kill()

    assert 0 == process.returncode
    assert "no node has a free GPU; wait, ask for fewer with --gpus" in talk[1]


def test_image_that_cannot_be_pulled(cluster: MockCluster) -> None:
    """Backing off from an image ends the wait at once."""
    process = begin(cluster, *SUBMIT)
    wait_for(lambda: cluster.find_all("Job"), "the job")
    cluster.put("Pod", pods.pod("a", waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"}))

    _, talk = process.communicate(timeout=60)

    assert 5 == process.returncode
    assert "cannot pull image registry.example/nas:1" in talk
    assert "nas-client jobs delete nas-search --namespace ml" in talk


def test_failed_job_says_what_the_server_said(cluster: MockCluster) -> None:
    """The exit status of the pod and the last sentence of its log explain the failure."""
    process = begin(cluster, *SUBMIT)
    wait_for(lambda: cluster.find_all("Job"), "the job")
    cluster.put("Pod", pods.pod("nas-search-a", exit_status=65))
    cluster.log("nas-search-a", "{}\nError: data set kau: folder kau is missing\n")
    finish(cluster, "Failed", reason="PodFailurePolicy")

    _, talk = process.communicate(timeout=60)

    assert 4 == process.returncode
    assert "Job nas-search has failed: its data cannot be used (exit status 65)." in talk
    assert "The server said: data set kau: folder kau is missing" in talk


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("--queue", "nas"), 3, "The cluster has no Kueue, so there are no queues; leave --queue out."),
        (("--dataset", "kau"), 3, "Namespace ml has no claim nas-data with the data sets;"),
        (("--context", "elsewhere"), 5, "There is no cluster to talk to:"),
        (("-o", "yaml"), 2, "-o yaml shows what --dry-run would send; give both."),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    cluster: MockCluster, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """One sentence, the documented status, and nothing half-made."""
    code, output, talk = client(cluster, *SUBMIT, *words)

    assert (status, "") == (code, output)
    assert sentence in talk
    assert [] == [
        each for kind in ("Job", "PersistentVolumeClaim", "ServiceAccount") for each in cluster.find_all(kind)
    ]


def test_no_such_queue(cluster: MockCluster) -> None:
    """The queues that there are help more than the one that is not."""
    cluster.put("LocalQueue", {"metadata": {"name": "night"}})

    status, _, talk = client(cluster, *SUBMIT, "--queue", "day")
    waiting, _, patience = client(cluster, *SUBMIT, "--queue", "night", "--wait", "1s")

    assert (3, True) == (status, "Namespace ml has no queue day; there are night." in talk)
    assert (5, True) == (waiting, "Job nas-search waits in queue night until the quota has room for it." in patience)


def test_without_kubectl(cluster: MockCluster, tmp_path: Path) -> None:
    """Watching needs kubectl and says so before anything is made; --detach does not."""
    (tmp_path / "empty").mkdir()
    bare = {"PATH": str(tmp_path / "empty")}

    status, _, talk = client(cluster, *SUBMIT, **bare)
    none = cluster.find_all("Job")
    detached, output, _ = client(cluster, *SUBMIT, "--detach", **bare)

    assert (5, []) == (status, none)
    assert "needs kubectl, which is not on this machine's PATH; install it, or use --detach." in talk
    assert (0, "nas-search\n") == (detached, output)


def test_same_name_twice(cluster: MockCluster) -> None:
    """A name is taken once; after the job is deleted its claim stays, and the next one goes on from it."""
    first, *_ = client(cluster, *SUBMIT, "--detach")
    second, _, refusal = client(cluster, *SUBMIT, "--detach")
    deleted, _, _ = client(cluster, "jobs", "delete", pods.JOB, "--yes")
    third, _, talk = client(cluster, *SUBMIT, "--detach")

    assert [0, 2, 0, 0] == [first, second, deleted, third]
    assert "Job nas-search exists already in namespace ml" in refusal
    assert "Claim nas-search-state is there already; its search goes on where it stopped." in talk


def test_delete_with_state(cluster: MockCluster) -> None:
    """Only with --with-state the claim goes, too; a job that is not there is status 3."""
    client(cluster, *SUBMIT, "--detach")

    status, _, _ = client(cluster, "jobs", "delete", pods.JOB, "--yes", "--with-state")
    again, _, talk = client(cluster, "jobs", "delete", pods.JOB, "--yes")

    assert (0, [], []) == (status, cluster.find_all("Job"), cluster.find_all("PersistentVolumeClaim"))
    assert (3, True) == (again, "Namespace ml has no Job nas-search" in talk)


def test_list_and_logs(cluster: MockCluster) -> None:
    """The table says what each job is up to; the log is that of its newest pod."""
    client(cluster, *SUBMIT, "--detach")
    cluster.put("Pod", pods.ready_pod("nas-search-a"))
    cluster.log("nas-search-a", "one\ntwo\n")

    _, table, _ = client(cluster, "jobs", "list")
    _, document, _ = client(cluster, "jobs", "list", "--output", "json")
    _, log, _ = client(cluster, "jobs", "logs", pods.JOB)
    missing, _, _ = client(cluster, "jobs", "logs", "other")

    (row,) = json.loads(document)["jobs"]
    assert ["JOB", "STATE", "DATASET", "BLOCK", "MADE", "WHY"] == table.splitlines()[0].split()
    assert ("nas-search", "running", "digits", "ib") == (row["job"], row["state"], row["dataset"], row["block"])
    assert ("one\ntwo\n", 3) == (log, missing)


def test_dry_run_sends_nothing(cluster: MockCluster) -> None:
    """It prints what kubectl would take, as YAML or JSON, and needs neither cluster nor kubectl."""
    nowhere = {"KUBECONFIG": "/nowhere", "PATH": str(Path(shutil.which("true") or "/bin/true").parent)}

    status, text, _ = client(cluster, *SUBMIT, "--dry-run", "-o", "yaml", "--namespace", "x", **nowhere)
    _, plain, _ = client(cluster, *SUBMIT, "--dry-run", "--namespace", "x", **nowhere)
    _, document, _ = client(cluster, *SUBMIT, "--dry-run", "--output", "json", "--namespace", "x", **nowhere)

    documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    assert (0, plain, documents) == (status, text, json.loads(document)["items"])
    assert ["ServiceAccount", "NetworkPolicy", "PersistentVolumeClaim", "Job"] == [each["kind"] for each in documents]
    assert {"x"} == {each["metadata"]["namespace"] for each in documents}
    assert [] == cluster.find_all("Job")


def test_cluster_that_does_not_answer(cluster: MockCluster, tmp_path: Path) -> None:
    """A dead API server is one sentence and status 5."""
    environment = cluster.environment
    configuration = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text())
    configuration["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (tmp_path / "dead").write_text(yaml.safe_dump(configuration))

    status, output, talk = client(cluster, "jobs", "list", KUBECONFIG=str(tmp_path / "dead"))

    assert (5, "") == (status, output)
    assert "Error: The cluster at http://127.0.0.1:1 does not answer" in talk
