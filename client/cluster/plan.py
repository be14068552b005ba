# SPDX-License-Identifier: Apache-2.0
"""What ``submit`` sends to a cluster: the manifests of ``k8s/base``, filled in. Pure, but for reading them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Document = dict[str, Any]

NAME_LABEL, NAME = "app.kubernetes.io/name", "seib-nas"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
DATASET_ANNOTATION, BLOCK_ANNOTATION = "nas/dataset", "nas/block"
GPU = "nvidia.com/gpu"
API_PORT = 50051
DATA_CLAIM = "nas-data"
_OWN_TO_A_SEARCH = ("--dataset=", "--block=")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One search on a cluster.

    Attributes:
        name: of the Job; its claim is called after it.
        namespace: where it runs.
        image: what it runs.
        dataset: of the search.
        block: of the search.
        settings: the other words of ``nas-server run``.
        gpus: NVIDIA GPUs, each with a worker of its own; 0 trains on CPUs.
        cpus: what is requested, as Kubernetes writes it.
        memory: requested and not to be exceeded.
        state_size: of the claim for journal and weights.
        queue: of Kueue; None for none.
        data_claim: holds the data root; None if the data set comes with the image.
    """

    name: str
    namespace: str
    image: str
    dataset: str
    block: str
    settings: tuple[str, ...] = ()
    gpus: int = 1
    cpus: str = "2"
    memory: str = "16Gi"
    state_size: str = "20Gi"
    queue: str | None = None
    data_claim: str | None = DATA_CLAIM

    @property
    def state_claim(self) -> str:
        """Name of the claim that outlives the Job."""
        return state_claim(self.name)


def state_claim(job: str) -> str:
    """Name of the claim that belongs to a Job."""
    return f"{job}-state"


def render(plan: JobPlan) -> list[Document]:
    """Every document that the search needs, in the order in which they are created; the Job is the last one."""
    documents = [_fill(document, plan) for document in base() if document["metadata"]["name"] != DATA_CLAIM]
    for document in documents:
        document["metadata"]["namespace"] = plan.namespace
    return documents


def base() -> list[Document]:
    """The documents of ``k8s/base`` as kustomize makes them: the resources, with the labels of the kustomization."""
    kustomization = yaml.safe_load(_read("kustomization.yaml"))
    documents = [yaml.safe_load(_read(name)) for name in kustomization["resources"]]
    for labels in (entry["pairs"] for entry in kustomization["labels"]):
        for document in documents:
            for metadata in _labelled(document):
                metadata["labels"] = {**metadata.get("labels", {}), **labels}
    return documents


def dump(documents: Iterable[Document]) -> str:
    """The documents as one YAML text that ``kubectl apply -f -`` takes."""
    return "---\n".join(yaml.safe_dump(document, sort_keys=False) for document in documents)


def _labelled(document: Document) -> list[Document]:
    template = document.get("spec", {}).get("template")
    return [document["metadata"], *([template["metadata"]] if template else [])]


def _fill(document: Document, plan: JobPlan) -> Document:
    match document["kind"]:
        case "PersistentVolumeClaim":
            document["metadata"]["name"] = plan.state_claim
            document["spec"]["resources"]["requests"]["storage"] = plan.state_size
        case "Job":
            document["metadata"]["name"] = plan.name
            document["metadata"]["annotations"] = {DATASET_ANNOTATION: plan.dataset, BLOCK_ANNOTATION: plan.block}
            if plan.queue is not None:
                document["metadata"]["labels"][QUEUE_LABEL] = plan.queue
                document["spec"]["suspend"] = True  # until Kueue finds room
            _fill_pod(document["spec"]["template"]["spec"], plan)
    return document


def _fill_pod(pod: Document, plan: JobPlan) -> None:
    (nas,) = pod["containers"]
    nas["image"] = plan.image
    nas["args"] = [word for word in nas["args"] if not word.startswith(_OWN_TO_A_SEARCH)]
    nas["args"] += [f"--dataset={plan.dataset}", f"--block={plan.block}", *_device_words(plan), *plan.settings]
    requests, limits = nas["resources"]["requests"], nas["resources"]["limits"]
    requests["cpu"] = plan.cpus
    requests["memory"] = limits["memory"] = plan.memory
    if plan.gpus:
        limits[GPU] = plan.gpus
        pod["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes["state"]["persistentVolumeClaim"]["claimName"] = plan.state_claim
    if plan.data_claim is None:
        del volumes["data"]["persistentVolumeClaim"]
        volumes["data"]["emptyDir"] = {"sizeLimit": "1Mi"}
    else:
        volumes["data"]["persistentVolumeClaim"]["claimName"] = plan.data_claim


def _device_words(plan: JobPlan) -> list[str]:
    if any(word.startswith("--device=") for word in plan.settings):
        return []
    words = ["--device=cuda" if plan.gpus else "--device=cpu"]
    return [*words, f"--workers={plan.gpus}"] if plan.gpus > 1 else words


@cache
def _read(name: str) -> str:
    return (files("client.cluster") / "base" / name).read_text()
