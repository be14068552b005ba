# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes manifests as kubectl renders them, and what each kind of document has to look like."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "k8s"
KUBERNETES_VERSION = "1.37"
SCHEMAS = ROOT / "tests/schemas"
"""Schemas of custom resources, by kind: the fields that the manifests use, so that any other one is an error."""

KUSTOMIZATIONS = sorted(path.parent.relative_to(K8S).as_posix() for path in K8S.rglob("kustomization.yaml"))
WORKLOADS = ("Job", "StatefulSet")

Document = dict[str, Any]


@functools.cache
def _render(folder: str) -> str:
    # The one of this environment: kustomize differs between versions.
    kubectl = Path(sys.executable).parent / "kubectl"
    finished = subprocess.run([kubectl, "kustomize", K8S / folder], capture_output=True, text=True, check=False)
    assert not finished.returncode, finished.stderr
    return finished.stdout


def render(folder: str) -> list[Document]:
    """Every document of a kustomization, ``base`` or ``overlays/NAME``."""
    return list(yaml.safe_load_all(_render(folder)))


def one(documents: list[Document], kind: str, name: str = "") -> Document:
    """The only document of a kind, or the one of that name."""
    (found,) = [
        document
        for document in documents
        if document["kind"] == kind and (not name or document["metadata"]["name"] == name)
    ]
    return found


def workload(documents: list[Document]) -> Document | None:
    """The Job or the StatefulSet, None if there is none."""
    found = [document for document in documents if document["kind"] in WORKLOADS]
    assert len(found) < 2
    return found[0] if found else None


def pod_spec(document: Document) -> Document:
    """The pod of a workload."""
    spec: Document = document["spec"]["template"]["spec"]
    return spec


def container(document: Document) -> Document:
    """The only container of a workload's pod."""
    (found,) = pod_spec(document)["containers"]
    return dict(found)


def ray_pods(cluster: Document) -> list[Document]:
    """Of the head and of each group of nodes, as pods of their own."""
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **group["template"],
            "metadata": {"name": "pod", **group["template"]["metadata"]},
        }
        for group in groups
    ]


def validate(document: Document) -> None:
    """Check a document against the schema of its kind, in which unknown fields are errors.

    Raises:
        jsonschema.ValidationError: it does not fit.
        kubernetes_validate.ValidationError: the same, for a kind of Kubernetes itself.
        FileNotFoundError: there is no schema for this kind of document.
    """
    if "." in document["apiVersion"].partition("/")[0] and not document["apiVersion"].split("/")[0].endswith(".k8s.io"):
        schema = json.loads((SCHEMAS / f"{document['kind']}.json").read_text())
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
        for pod in ray_pods(document) if document["kind"] == "RayCluster" else ():
            validate(pod)
    else:
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
