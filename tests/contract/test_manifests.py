# SPDX-License-Identifier: Apache-2.0
"""The manifests: valid for Kubernetes, closed by default, and in agreement with what the server does and says."""

from __future__ import annotations

import tomllib
from typing import Any

import click
import jsonschema
import kubernetes_validate
import manifests
import pytest
import yaml
from manifests import KUSTOMIZATIONS, ROOT, container, one, pod_spec, render, workload

from server.cli import cli
from server.commands.exits import Exit

WITH_WORKLOAD = [folder for folder in KUSTOMIZATIONS if workload(render(folder))]
JOBS = [folder for folder in WITH_WORKLOAD if workload(render(folder))["kind"] == "Job"]  # type: ignore[index]
RETRIED = {Exit.BUG, Exit.LOCKED, Exit.INTERRUPTED}
"""Another pod may do better."""
RAY = "overlays/ray"
SHARED = ("/var/lib/nas/searches", "/var/lib/nas/cache")
"""What the server and the nodes of a Ray cluster both see."""
OWN_TO_A_JOB = {"restartPolicy"}
"""What the pods of a Job and of the StatefulSet do not have in common, beside arguments and the state volume."""


def found_workload(folder: str) -> dict[str, Any]:
    """The workload of a kustomization that has one."""
    found = workload(render(folder))
    assert found
    return found


def options(folder: str) -> dict[str, str]:
    """The options that a container starts with, by name."""
    pairs = [word.removeprefix("--").partition("=") for word in container(found_workload(folder))["args"][1:]]
    return {name: value for name, _, value in pairs}


def port(options: dict[str, str], name: str) -> int:
    """The port of an address among the options."""
    return int(options[name].rpartition(":")[2])


def test_kustomizations_are_there() -> None:
    """The ones that the documentation speaks of, and no other."""
    assert [
        "base",
        *(f"overlays/{name}" for name in ("cpu", "gpu", "kueue", "monitoring", "ray", "service")),
    ] == KUSTOMIZATIONS


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_documents_are_valid(folder: str) -> None:
    """Kubernetes knows every field of every document, and every kind has a schema."""
    documents = render(folder)

    assert documents
    for document in documents:
        manifests.validate(document)


def test_unknown_fields_are_seen() -> None:
    """A field that Kubernetes does not have is an error, and so is a kind that nobody described."""
    job = found_workload("base")
    job["spec"]["podFailurePolicies"] = {}

    with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
        manifests.validate(job)
    with pytest.raises(FileNotFoundError):
        manifests.validate({"apiVersion": "example.com/v1", "kind": "Unheard"})


@pytest.mark.parametrize("folder", JOBS)
def test_failure_policy_knows_every_exit_status(folder: str) -> None:
    """What cannot succeed in another pod ends the Job, a disruption does not count, the rest is tried again."""
    rules = found_workload(folder)["spec"]["podFailurePolicy"]["rules"]
    final = {status for status in Exit if status and status not in RETRIED}

    disruption, failure = rules

    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]} == disruption
    assert "FailJob" == failure["action"]
    assert ("nas", "In") == (failure["onExitCodes"]["containerName"], failure["onExitCodes"]["operator"])
    assert sorted(final) == failure["onExitCodes"]["values"]


@pytest.mark.parametrize("folder", JOBS)
def test_job_has_one_pod_at_a_time(folder: str) -> None:
    """No pod is started before the one before it is gone, and it is not started again in place."""
    job = found_workload(folder)["spec"]

    assert (1, 1, "Failed") == (job["completions"], job["parallelism"], job["podReplacementPolicy"])
    assert "Never" == job["template"]["spec"]["restartPolicy"]
    assert {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"} <= job.keys()


@pytest.mark.parametrize("folder", WITH_WORKLOAD)
def test_pod_is_restricted(folder: str) -> None:
    """The pod asks for no right that it does not need."""
    pod = pod_spec(found_workload(folder))
    security, own = pod["securityContext"], container(found_workload(folder))["securityContext"]

    assert {"type": "RuntimeDefault"} == security["seccompProfile"]
    assert (True, 10001, 10001) == (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"])
    assert (False, True) == (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"])
    assert {"drop": ["ALL"]} == own["capabilities"]
    assert (False, False) == (pod["automountServiceAccountToken"], pod["enableServiceLinks"])
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", *(() if folder == RAY else ("initContainers",))}
    assert not one(render(folder), "ServiceAccount")["automountServiceAccountToken"]


@pytest.mark.parametrize("folder", WITH_WORKLOAD)
def test_only_state_and_scratch_can_be_written(folder: str) -> None:
    """State lies on a claim for one pod, data is read-only twice over, scratch is bounded."""
    pod = pod_spec(found_workload(folder))
    mounts = {mount["name"]: mount for mount in container(found_workload(folder))["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    writable = {mount["mountPath"] for mount in mounts.values() if not mount.get("readOnly")}
    claims = [document["spec"] for document in render(folder) if document["kind"] == "PersistentVolumeClaim"]
    claims += [template["spec"] for template in found_workload(folder)["spec"].get("volumeClaimTemplates", [])]

    assert {options(folder)["state-dir"], "/tmp", "/dev/shm", *(SHARED if folder == RAY else ())} == writable
    assert options(folder)["data-root"] == mounts["data"]["mountPath"]
    assert volumes["data"]["persistentVolumeClaim"]["readOnly"]
    shared = {"ReadWriteMany"} if folder == RAY else set()
    assert {"ReadWriteOnce", "ReadWriteOncePod"} | shared == {mode for claim in claims for mode in claim["accessModes"]}
    assert "Memory" == volumes["shm"]["emptyDir"]["medium"]
    assert all("sizeLimit" in volumes[name]["emptyDir"] for name in ("tmp", "shm"))


@pytest.mark.parametrize("folder", WITH_WORKLOAD)
def test_ports_agree(folder: str) -> None:
    """Probes ask where health is told, metrics are where the policy lets them through, the API stays on loopback."""
    given, nas = options(folder), container(found_workload(folder))
    ports = {entry["name"]: entry["containerPort"] for entry in nas["ports"]}
    probes = [nas[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")]
    (allowed,) = one(render(folder), "NetworkPolicy", "nas")["spec"]["ingress"]

    assert given["listen"].startswith("127.0.0.1:")
    assert {"health": port(given, "health-listen"), "metrics": port(given, "metrics-listen")} == ports
    assert {port(given, "health-listen")} == {probe["port"] for probe in probes}
    assert ["liveness"] == [probe["service"] for probe in probes if "service" in probe]
    assert [port(given, "metrics-listen")] == [entry["port"] for entry in allowed["ports"]]


@pytest.mark.parametrize("folder", WITH_WORKLOAD)
def test_server_understands_its_arguments(folder: str) -> None:
    """Every option is one of the verb that is started, with a value that it takes."""
    verb, *words = container(found_workload(folder))["args"]
    command = cli.get_command(click.Context(cli), verb)

    assert command
    assert verb == command.make_context(verb, words).info_name


@pytest.mark.parametrize("folder", WITH_WORKLOAD)
def test_there_is_time_to_stop(folder: str) -> None:
    """The pod is not killed while the server that was told to stop writes its checkpoints, which takes up to 20 s."""
    assert 2 * 20 <= pod_spec(found_workload(folder))["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_only_what_usual_queues_cover_is_asked_for(folder: str) -> None:
    """Kueue admits nothing that asks, even by a limit, for a resource that its queue does not cover."""
    covered = {"cpu", "memory", "nvidia.com/gpu"}
    pods = [pod_spec(each) for each in render(folder) if each["kind"] in manifests.WORKLOADS]
    pods += [pod["spec"] for each in render(folder) if each["kind"] == "RayCluster" for pod in manifests.ray_pods(each)]
    found = [container for pod in pods for container in pod["containers"] + pod.get("initContainers", [])]
    asked = {name for container in found for wish in container["resources"].values() for name in wish}

    assert set() == asked - covered
    assert bool(found) == bool(asked)


def test_loader_is_restricted_and_fits_the_claims() -> None:
    """The pod for `kubectl cp` is valid and has the rights and the user of a search, so that files get its owner."""
    loader = yaml.safe_load((ROOT / "k8s/tools/loader.yaml").read_text())
    job = found_workload("base")
    (own,) = loader["spec"]["containers"]

    manifests.validate(loader)
    assert pod_spec(job)["securityContext"] == loader["spec"]["securityContext"]
    assert own["securityContext"].items() <= container(job)["securityContext"].items()
    assert container(found_workload("overlays/cpu"))["image"] == own["image"]


def test_role_is_valid() -> None:
    """Kubernetes knows its fields; that its rights suffice is for the tests of `submit` and `jobs`."""
    manifests.validate(yaml.safe_load((ROOT / "k8s/tools/role.yaml").read_text()))


def test_policy_closes_what_it_does_not_open() -> None:
    """Both directions are governed, nothing goes out, and the policy holds for every pod of ours."""
    policy = one(render("base"), "NetworkPolicy")["spec"]
    labels = found_workload("base")["spec"]["template"]["metadata"]["labels"]

    assert ["Ingress", "Egress"] == policy["policyTypes"]
    assert not policy.get("egress")
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_service_runs_the_pod_of_the_job() -> None:
    """The StatefulSet differs from the Job in its verb, the settings of the search and its claim, and nowhere else."""
    pods = [pod_spec(found_workload(folder)) for folder in ("base", "overlays/service")]
    verbs = []
    for pod in pods:
        verbs.append(pod["containers"][0].pop("args")[0])
        pod["containers"][0].pop("image")
        pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "state"]

    assert ["run", "serve"] == verbs
    assert {name: value for name, value in pods[0].items() if name not in OWN_TO_A_JOB} == pods[1]


@pytest.mark.parametrize("folder", [folder for folder in WITH_WORKLOAD if folder != "base"])
def test_image_is_that_of_this_version(folder: str) -> None:
    """The tag is the version of the tree; a digest takes its place where it is deployed."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"seib-nas:{version}" == container(found_workload(folder))["image"]


def test_gpu_is_asked_for() -> None:
    """One GPU, by limit, with the toleration of its nodes; the queue is a label on the same Job."""
    gpu, queued = found_workload("overlays/gpu"), found_workload("overlays/kueue")

    assert 1 == container(gpu)["resources"]["limits"]["nvidia.com/gpu"]
    assert [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}] == pod_spec(gpu)["tolerations"]
    assert pod_spec(gpu) == pod_spec(queued)
    assert queued["spec"]["suspend"]
    assert "nas" == queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]


def nodes_of_ray() -> list[dict[str, Any]]:
    """The pods of the head and of the nodes, and the Job's, which is a node by its sidecar; the Ray container first."""
    template = found_workload(RAY)["spec"]["template"]
    job = {
        "metadata": template["metadata"],
        "spec": {**template["spec"], "containers": template["spec"]["initContainers"]},
    }
    return [*manifests.ray_pods(one(render(RAY), "RayCluster")), job]


def ray_words(pod: dict[str, Any]) -> dict[str, str]:
    """The options of ``ray start``, by name."""
    start, *words = pod["spec"]["containers"][0]["command"][1:]
    assert "start" == start
    return {name: value for name, _, value in (word.removeprefix("--").partition("=") for word in words)}


@pytest.mark.parametrize("number", range(3), ids=["head", "node", "job"])
def test_nodes_of_ray_are_as_restricted_as_a_search(number: int) -> None:
    """No right, no token of the cluster's API, the token of Ray from a Secret, and only scratch and shared folders."""
    pod, base = nodes_of_ray()[number]["spec"], pod_spec(found_workload("base"))
    ray = pod["containers"][0]
    own = container(found_workload("base"))["securityContext"]
    writable = {mount["mountPath"] for mount in ray["volumeMounts"] if not mount.get("readOnly")}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (token,) = [mount for mount in ray["volumeMounts"] if mount.get("readOnly")]
    environment = {entry["name"]: entry["value"] for entry in ray["env"]}

    assert base["securityContext"] == pod["securityContext"]
    assert own == ray["securityContext"]
    assert ("nas", False, False) == tuple(
        pod[name] for name in ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks")
    )
    assert {"/tmp", "/dev/shm", *(SHARED if number == 1 else ())} == writable
    assert "nas-ray-token" == volumes[token["name"]]["secret"]["secretName"]
    assert {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{token['mountPath']}/auth_token"} == environment
    assert {"memory"} <= ray["resources"]["limits"].keys()
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= ray.keys()


def test_policy_of_ray_lets_its_ports_through_and_no_other() -> None:
    """Those that the commands name, between nodes alone; beside them only the cluster's DNS."""
    policy = one(render(RAY), "NetworkPolicy", "nas-ray")["spec"]
    (incoming,), (outgoing, names) = policy["ingress"], policy["egress"]
    ranges = [range(entry["port"], entry["endPort"] + 1) for entry in incoming["ports"]]
    words = [ray_words(pod) for pod in nodes_of_ray()]
    wanted = {int(given[name]) for given in words for name in ("node-manager-port", "object-manager-port")}
    wanted |= {
        port for given in words for port in range(int(given["min-worker-port"]), int(given["max-worker-port"]) + 1)
    }

    assert {port for one_range in ranges for port in one_range} == wanted | {int(words[0]["port"])}
    assert (incoming["from"], incoming["ports"]) == (outgoing["to"], outgoing["ports"])
    assert [{"podSelector": policy["podSelector"]}] == incoming["from"]
    assert {53} == {entry["port"] for entry in names["ports"]}
    for pod in nodes_of_ray():
        assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_server_and_nodes_of_ray_agree() -> None:
    """On address, GPUs, processors, Ray's version and what a worker may reserve; only nodes offer anything."""
    given = options(RAY)
    head, node, job = (ray_words(pod) for pod in nodes_of_ray())
    cluster = one(render(RAY), "RayCluster")
    group = cluster["spec"]["workerGroupSpecs"][0]
    resources = group["template"]["spec"]["containers"][0]["resources"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints/default.txt").read_text().split())

    assert ("ray", "", "cuda") == (given["executor"], given["ray-gpus"], given["device"])
    assert {f"{cluster['metadata']['name']}-head-svc:{head['port']}"} == {
        given["ray-address"],
        node["address"],
        job["address"],
    }
    assert [("0", "0"), ("0", "0")] == [(words["num-cpus"], words["num-gpus"]) for words in (head, job)]
    assert (given["ray-cpus"], "1") == (node["num-cpus"], node["num-gpus"])
    assert (node["num-cpus"], 1) == (resources["requests"]["cpu"], resources["limits"]["nvidia.com/gpu"])
    assert int(given["workers"]) == group["replicas"]
    assert pinned["ray"] == cluster["spec"]["rayVersion"]


def test_job_and_nodes_of_ray_share_folders_but_not_the_journal() -> None:
    """The same claims at the same places, and the claim of the journal with the Job alone."""
    _, node, _ = nodes_of_ray()
    job = pod_spec(found_workload(RAY))
    mounted = []
    for pod in (job, node["spec"]):
        claims = {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]}
        (own,) = pod["containers"]
        mounted.append(
            {mount["mountPath"]: claims[mount["name"]] for mount in own["volumeMounts"] if claims[mount["name"]]}
        )
    of_job, of_node = mounted

    assert set(SHARED) == of_node.keys()
    assert of_node.items() <= of_job.items()
    assert "nas-search-state" in of_job.values()
    assert job["shareProcessNamespace"]
