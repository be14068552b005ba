# SPDX-License-Identifier: Apache-2.0
"""What a cluster does to those who watch: nodes that crash, API servers that restart, rights that are lacking."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pods
import pytest
import yaml
from cluster_jobs import JOBS_PATH, SUBMIT, begin, client, finish, run_pod, server_of
from mock_cluster import NAMESPACE, MockCluster
from real_server import wait_for

ROOT = Path(__file__).resolve().parents[2]
AWAY_SECONDS = 12.0
CORE = f"/api/v1/namespaces/{NAMESPACE}"
ATTACH = ("jobs", "attach", pods.JOB)

# As kubectl 1.37 prints them.
NODE_CRASHED = (
    "error: error upgrading connection: error dialing backend: dial tcp 10.0.0.7:10250: connect: connection refused"
)
POD_ENDED = "error: unable to forward port because pod is not running. Current status=Succeeded"
POD_GONE = 'Error from server (NotFound): pods "nas-search-a" not found'
NO_RIGHT = (
    'Error from server (Forbidden): pods "nas-search-a" is forbidden: User "ada" cannot create resource '
    '"pods/portforward" in API group "" in the namespace "ml"'
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MockCluster]:
    """A cluster without anything in it."""
    with MockCluster(tmp_path) as cluster:
        yield cluster


def put_job(cluster: MockCluster, *conditions: pods.Document) -> None:
    """A Job that somebody has submitted."""
    job = pods.job(*conditions)
    job["metadata"]["labels"]["app.kubernetes.io/name"] = "seib-nas"
    job["spec"]["template"] = {"spec": {"containers": []}}
    cluster.put("Job", job)


def role() -> list[pods.Document]:
    """The rules of the Role that the documentation names."""
    rules: list[pods.Document] = yaml.safe_load((ROOT / "k8s/tools/role.yaml").read_text())["rules"]
    return rules


def forbid(cluster: MockCluster, request: str, what: str) -> None:
    """Refuse a request as an API server with RBAC does."""
    verb, group = (
        ("create" if request.startswith("post") else "get"),
        "networking.k8s.io" if "networking" in request else "",
    )
    message = (
        f'{what} is forbidden: User "ada" cannot {verb} resource "{what}" in API group "{group}" in the namespace "ml"'
    )
    cluster.refuse(request, 403, message)


@pytest.mark.parametrize("refusal", [NODE_CRASHED, POD_GONE], ids=["node-crashed", "pod-gone"])
def test_way_that_cannot_be_opened_is_waited_for(cluster: MockCluster, tmp_path: Path, refusal: str) -> None:
    """Kubectl's reason is said, and the search is watched when there is a way again."""
    process = begin(cluster, *SUBMIT)
    server = server_of(cluster, tmp_path / "pod", 0.01)
    cluster.refuse_forward("nas-search-a", refusal, refusal)
    run_pod(cluster, "nas-search-a", server)

    output, talk = process.communicate(timeout=60)
    server.kill()

    assert 0 == process.returncode, talk
    assert f"kubectl cannot reach pod nas-search-a: {refusal}. Waiting for what the cluster does about it." in talk
    assert "succeeded after" in output


def test_pod_that_ends_between_list_and_forward(cluster: MockCluster) -> None:
    """A search that has succeeded is reported as that, though nobody can ask its server any more."""
    put_job(cluster)
    cluster.put("Pod", pods.ready_pod("nas-search-a"))
    cluster.refuse_forward("nas-search-a", *[POD_ENDED] * 50)
    process = begin(cluster, *ATTACH)
    assert process.stderr
    said = process.stderr.readline()
    finish(cluster, "Complete")
    _, talk = process.communicate(timeout=60)

    assert POD_ENDED in said
    assert (0, "Traceback" in talk) == (process.returncode, False)
    assert "Job nas-search has succeeded; its results lie on claim nas-search-state." in talk


def test_kubelet_that_hangs(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubectl that says nothing is given up and tried again."""
    from client.cluster import forward

    monkeypatch.setattr(forward, "START_SECONDS", 0.2)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    cluster.refuse_forward("nas-search-a", "hang")
    cluster.announce("nas-search-a", "127.0.0.1:1")
    kubectl = forward.Kubectl(context=None, namespace=NAMESPACE)

    with pytest.raises(forward.ForwardError, match="it said nothing within 0 s"), kubectl.open("nas-search-a"):
        pass
    monkeypatch.setattr(forward, "START_SECONDS", 30.0)
    with kubectl.open("nas-search-a") as address:
        assert "127.0.0.1:1" == address


def test_way_that_stays_closed(cluster: MockCluster) -> None:
    """After --wait the reason and the way back are said."""
    put_job(cluster)
    cluster.put("Pod", pods.ready_pod("nas-search-a"))
    cluster.refuse_forward("nas-search-a", *[NODE_CRASHED] * 50)

    status, _, talk = client(cluster, *ATTACH, "--wait", "2s")

    assert 5 == status
    assert f"Error: kubectl cannot reach pod nas-search-a: {NODE_CRASHED}. The job stays; look again with" in talk


def test_way_that_is_not_permitted(cluster: MockCluster) -> None:
    """Waiting would not help; the right that is lacking is named."""
    put_job(cluster)
    cluster.put("Pod", pods.ready_pod("nas-search-a"))
    cluster.refuse_forward("nas-search-a", NO_RIGHT)

    status, _, talk = client(cluster, *ATTACH)

    assert 6 == status
    assert "ask its administrator to let you create pods/portforward" in talk


def lose_api_server(cluster: MockCluster, process: subprocess.Popen[str], seconds: float) -> str:
    """Take the API server away for some time; returns what was said about it first."""
    assert process.stderr
    with cluster.away():
        said = process.stderr.readline()
        time.sleep(seconds)
    return said


def test_api_server_that_is_away_is_waited_for(cluster: MockCluster, tmp_path: Path) -> None:
    """For 12 s, before a pod serves; the watch goes on by itself and leads to the end of the search."""
    process = begin(cluster, *SUBMIT)
    server = server_of(cluster, tmp_path / "pod", 0.01)
    assert process.stderr
    assert "Job nas-search is in namespace ml." in process.stderr.readline()
    said = lose_api_server(cluster, process, AWAY_SECONDS)
    run_pod(cluster, "nas-search-a", server)

    output, talk = process.communicate(timeout=60)
    server.kill()

    assert "The cluster at http://127.0.0.1:" in said
    assert "does not answer" in said
    assert "Trying for up to 60 s." in said
    assert 0 == process.returncode, talk
    assert "The cluster answers again." in talk
    assert "succeeded after" in output


def test_api_server_that_stays_away(cluster: MockCluster) -> None:
    """After --reconnect it is status 5, with the way back."""
    put_job(cluster)
    process = begin(cluster, *ATTACH, "--reconnect", "1")
    wait_for(lambda: cluster.api.asked > 4, "questions about the job")
    with cluster.away():
        _, talk = process.communicate(timeout=60)

    assert 5 == process.returncode
    assert "The job stays; look again with `nas-client jobs attach nas-search --namespace ml`" in talk


def test_overloaded_api_server_is_waited_for(cluster: MockCluster) -> None:
    """What it says while it starts or has too much to do is no end either."""
    put_job(cluster)
    process = begin(cluster, *ATTACH)
    wait_for(lambda: cluster.api.asked > 4, "questions about the job")
    cluster.refuse(f"get {JOBS_PATH}/{pods.JOB}", 503, "apiserver is shutting down")
    assert process.stderr
    said = process.stderr.readline()
    process.kill()
    process.communicate()

    assert "The cluster answered 503 about Job nas-search: apiserver is shutting down. Trying for up to 60 s." in said


def test_followed_log_survives_an_api_server_that_is_away(cluster: MockCluster) -> None:
    """Each line is printed once, and the command ends with the container."""
    put_job(cluster)
    cluster.put("Pod", pods.ready_pod("nas-search-a"))
    cluster.log("nas-search-a", "one\ntwo\n")
    process = begin(cluster, "jobs", "logs", pods.JOB, "--follow")
    assert process.stdout
    first = [process.stdout.readline() for _ in range(2)]
    with cluster.away():
        assert process.stderr
        said = process.stderr.readline()
    cluster.log("nas-search-a", "one\ntwo\nthree\n")
    cluster.put("Pod", pods.pod("nas-search-a", exit_status=0))

    rest, talk = process.communicate(timeout=60)

    assert (0, ["one\n", "two\n"], "three\n") == (process.returncode, first, rest), talk
    assert "does not answer" in said
    assert "The cluster answers again." in talk


def test_log_of_a_waiting_pod(cluster: MockCluster) -> None:
    """There is none yet, which is no wrong usage; why the pod waits is said, too."""
    put_job(cluster)
    lack = pods.condition("PodScheduled", "False", message="0/5 nodes are available: 5 Insufficient memory.")
    cluster.put("Pod", pods.pod("nas-search-a", lack))
    message = 'container "nas" in pod "nas-search-a" is waiting to start: ContainerCreating'
    cluster.refuse(f"get {CORE}/pods/nas-search-a/log", 400, message)

    for words in ((), ("--follow",)):
        status, _, talk = client(cluster, "jobs", "logs", pods.JOB, *words)

        assert 3 == status
        assert f"Pod nas-search-a has no log yet: {message}" in talk
        assert "Insufficient memory" in talk


def test_what_exists_need_not_be_permitted(cluster: MockCluster) -> None:
    """Account and policy that an administrator has made are found, not made."""
    for kind in ("ServiceAccount", "NetworkPolicy"):
        cluster.put(kind, {"metadata": {"name": "nas", "namespace": NAMESPACE}})
    shared = [["serviceaccounts"], ["networkpolicies"]]
    cluster.api.rules = [{**rule, "verbs": ["get"]} if rule["resources"] in shared else rule for rule in role()]

    status, output, talk = client(cluster, *SUBMIT, "--detach")

    assert (0, "nas-search\n") == (status, output), talk


def test_right_to_create_is_enough(cluster: MockCluster) -> None:
    """Who may not look at accounts and policies makes them, or learns that they exist."""
    for path in ("/api/v1", "/apis/networking.k8s.io/v1"):
        plural = "serviceaccounts" if path == "/api/v1" else "networkpolicies"
        forbid(cluster, f"get {path}/namespaces/{NAMESPACE}/{plural}/nas", plural)

    first = client(cluster, *SUBMIT, "--detach")
    second = client(cluster, *SUBMIT, "--detach", "--name", "nas-other")

    assert (0, 0) == (first[0], second[0]), (first, second)


def test_refused_submit_leaves_nothing_new(cluster: MockCluster) -> None:
    """Whichever of the four is refused; the cause is what is said, though cleaning up is not permitted either."""
    forbid(cluster, f"post {JOBS_PATH}", "jobs")
    status, _, talk = client(cluster, *SUBMIT)
    kinds = ("ServiceAccount", "NetworkPolicy", "PersistentVolumeClaim")
    left = [each for kind in kinds for each in cluster.find_all(kind)]
    forbid(cluster, f"delete {CORE}/serviceaccounts/nas", "serviceaccounts")
    again, _, reasons = client(cluster, *SUBMIT, "--name", "nas-other")

    assert (6, []) == (status, left)
    assert "Error: The cluster does not permit Job nas-search in namespace ml" in talk
    assert 6 == again
    assert "ServiceAccount nas was created and stays: The cluster does not permit" in reasons
    assert "Error: The cluster does not permit Job nas-other" in reasons


def test_claim_that_is_refused_takes_the_account_along(cluster: MockCluster) -> None:
    """What was made before the refusal goes, and the sentence names the option."""
    message = (
        'persistentvolumeclaims "nas-search-state" is forbidden: maximum storage usage per PersistentVolumeClaim is '
        "10Gi, but request is 20Gi"
    )
    cluster.refuse(f"post {CORE}/persistentvolumeclaims", 403, message)

    status, _, talk = client(cluster, *SUBMIT)

    assert 2 == status
    assert f"choose another --state-size: {message}." in talk
    assert [] == [*cluster.find_all("ServiceAccount"), *cluster.find_all("NetworkPolicy")]


def test_without_the_right_to_events(cluster: MockCluster, tmp_path: Path) -> None:
    """Watching and listing work; only some reasons are missing."""
    forbid(cluster, f"get {CORE}/events", "events")
    process = begin(cluster, *SUBMIT)
    server = server_of(cluster, tmp_path / "pod", 0.01)
    run_pod(cluster, "nas-search-a", server)
    process.communicate(timeout=60)
    server.kill()

    listed, table, _ = client(cluster, "jobs", "list")

    assert (0, 0, True) == (process.returncode, listed, "nas-search" in table)


def test_expired_login(cluster: MockCluster) -> None:
    """401 is no lack of rights: logging in again helps."""
    cluster.refuse(f"get {JOBS_PATH}", 401, "Unauthorized")

    status, _, talk = client(cluster, "jobs", "list")

    assert 6 == status
    assert "The cluster does not accept your login: it has expired" in talk
    assert "log in again" in talk


@pytest.mark.parametrize("words", [("jobs", "list"), ATTACH, (*SUBMIT, "--dataset", "kau"), SUBMIT])
def test_missing_namespace(cluster: MockCluster, words: tuple[str, ...]) -> None:
    """It is said, whatever was to be done in it; an API server lists nothing there without a complaint."""
    message = 'namespaces "nowhere" not found'
    cluster.refuse("get /api/v1/namespaces/nowhere", 404, message)
    cluster.refuse("post /api/v1/namespaces/nowhere/serviceaccounts", 404, message)

    status, _, talk = client(cluster, *words, "--namespace", "nowhere")

    assert 3 == status
    assert "The cluster has no namespace nowhere; create it" in talk


def test_submit_waits_for_a_claim_that_is_being_deleted(cluster: MockCluster) -> None:
    """A pod that still stops holds it; a Job on that claim could never run."""
    claim = {"metadata": {"name": "nas-search-state", "finalizers": ["kubernetes.io/pvc-protection"]}}
    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.put("PersistentVolumeClaim", claim)
    late, _, refusal = client(cluster, *SUBMIT, "--detach", "--wait", "1s")
    process = begin(cluster, *SUBMIT, "--detach")
    assert process.stderr
    said = process.stderr.readline()
    none = cluster.find_all("Job")
    cluster.remove("PersistentVolumeClaim", "nas-search-state")

    output, _ = process.communicate(timeout=60)

    assert (5, True) == (late, "is still being deleted, as a pod may hold it" in refusal)
    assert "PersistentVolumeClaim nas-search-state is still being deleted; waiting until it is gone." in said
    assert (0, [], "nas-search\n") == (process.returncode, none, output)
    assert 1 == len(cluster.find_all("PersistentVolumeClaim"))


def test_pods_of_an_earlier_job_are_not_taken(cluster: MockCluster) -> None:
    """They carry the name of the Job in a label, and another owner."""
    put_job(cluster)
    stranger = pods.ready_pod("nas-search-old")
    stranger["metadata"]["ownerReferences"][0]["uid"] = "uid-of-the-one-before"
    cluster.put("Pod", stranger)

    status, _, talk = client(cluster, *ATTACH, "--wait", "1s")
    _, table, _ = client(cluster, "jobs", "list", "--output", "json")

    assert (5, True) == (status, "Job nas-search has no pod that serves." in talk)
    assert '"state": "pending"' in table


def test_queue_that_never_admits_ends_the_wait(cluster: MockCluster) -> None:
    """By the Workload of the Job; the one of a stranger says nothing."""
    cluster.put("LocalQueue", {"metadata": {"name": "night"}})
    message = "couldn't assign flavors to pod set main: resource cpu unavailable in ClusterQueue"
    condition = pods.condition("QuotaReserved", "False", reason="Pending", message=message)
    for name, owner in (("job-other", "other"), ("job-nas-search-1f", pods.JOB)):
        owners = [{"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": pods.uid(owner)}]
        status = {"conditions": [condition]} if owner == pods.JOB else {}
        cluster.put("Workload", {"metadata": {"name": name, "ownerReferences": owners}, "status": status})

    code, _, talk = client(cluster, *SUBMIT, "--queue", "night")

    assert 5 == code
    assert f"Queue night can never admit job nas-search; ask for less, or ask its administrator: {message}." in talk


def test_rights_of_the_role_suffice(cluster: MockCluster, tmp_path: Path) -> None:
    """All verbs work with what `k8s/tools/role.yaml` grants, and an API server that enforces it."""
    cluster.api.rules = role()
    cluster.put("LocalQueue", {"metadata": {"name": "night"}})
    process = begin(cluster, *SUBMIT)
    server = server_of(cluster, tmp_path / "pod", 0.01)
    run_pod(cluster, "nas-search-a", server)
    _, talk = process.communicate(timeout=60)
    server.kill()
    cluster.log("nas-search-a", "one\n")

    listed, table, _ = client(cluster, "jobs", "list")
    read, log, _ = client(cluster, "jobs", "logs", pods.JOB)
    deleted, _, why = client(cluster, "jobs", "delete", pods.JOB, "--yes", "--with-state")
    queued, _, reason = client(cluster, *SUBMIT, "--queue", "night", "--detach")

    assert 0 == process.returncode, talk
    assert (0, True) == (listed, "nas-search" in table)
    assert (0, "one\n") == (read, log)
    assert (0, 0) == (deleted, queued), (why, reason)


def test_lack_of_any_right_is_one_sentence(cluster: MockCluster) -> None:
    """Status 6, and the verb and the resource that are lacking stand in it."""
    cluster.api.rules = []

    for words in (("jobs", "list"), ATTACH, ("jobs", "logs", pods.JOB), SUBMIT, ("jobs", "delete", pods.JOB, "--yes")):
        status, output, talk = client(cluster, *words)

        assert (6, "") == (status, output), talk
        assert "ask its administrator: " in talk
        assert "is forbidden: User" in talk
