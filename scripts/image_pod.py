# SPDX-License-Identifier: Apache-2.0
"""One pod of the manifests, run by podman under every restriction that the manifest asks for.

A field that is neither translated nor listed as meaningless here is an error: no restriction is left out unseen. The
pod has a network of its own with nothing but loopback in it; whoever asks enters it, as a port-forward does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POD_ELSEWHERE = {
    *("restartPolicy", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "tolerations"),
    *("terminationGracePeriodSeconds", "containers", "volumes", "securityContext"),
}
"""Fields of a pod that are about the cluster, or that are read by name below."""
CONTAINER_ELSEWHERE = {
    *("name", "image", "imagePullPolicy", "args", "ports", "startupProbe", "readinessProbe", "livenessProbe"),
    *("resources", "securityContext", "volumeMounts"),
}
SECURITY = {
    *("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "seccompProfile", "capabilities"),
    *("allowPrivilegeEscalation", "readOnlyRootFilesystem"),
}
ENGINE = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Pod:
    """A pod whose volumes are folders here.

    Attributes:
        arguments: what its container starts with; may be changed before ``start``.
    """

    def __init__(self, name: str, image: str, spec: Mapping[str, Any], folder: Path) -> None:
        """Read the manifest; nothing is started.

        Args:
            name: of the container.
            image: what runs, whatever the manifest says.
            spec: ``spec.template.spec`` of a workload.
            folder: holds the claims, a folder each.
        """
        (self._container,) = spec["containers"]
        self._spec = spec
        self._name = name
        self._image = image
        self._folder = folder
        self.arguments: list[str] = list(self._container["args"])
        unknown = {*spec} - POD_ELSEWHERE | {*self._container} - CONTAINER_ELSEWHERE
        unknown |= {*spec["securityContext"], *self._container["securityContext"]} - SECURITY
        if unknown:
            raise SystemExit(f"The pod has {', '.join(sorted(unknown))}, which this test does not know how to apply.")

    def start(self) -> None:
        """Start the container and return."""
        self._podman("run", "--detach", "--name", self._name, *self._restrictions(), self._image, *self.arguments)

    def stop(self) -> float:
        """SIGTERM, and SIGKILL after the grace period; returns the seconds that it took."""
        begin = time.monotonic()
        self._podman("stop", "--time", str(self._spec["terminationGracePeriodSeconds"]), self._name)
        return time.monotonic() - begin

    def wait(self) -> int:
        """Wait for the container's end; returns its exit status."""
        return int(self._podman("wait", self._name))

    def remove(self) -> None:
        """Remove what is left of the container."""
        self._podman("rm", "--force", "--ignore", self._name)

    @property
    def log(self) -> str:
        """What it has written."""
        finished = subprocess.run(
            ["podman", "logs", self._name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return finished.stdout

    @property
    def is_running(self) -> bool:
        """Whether the container runs."""
        return self._podman("inspect", "--format", "{{.State.Running}}", self._name) == "true"

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return subprocess.run(["podman", "exec", self._name, *words], capture_output=True, text=True, check=False)

    def reach(self, *words: str) -> list[str]:
        """The words that run a command of this machine in the network of the pod, as a port-forward would."""
        pid = self._podman("inspect", "--format", "{{.State.Pid}}", self._name)
        return ["nsenter", "--target", pid, "--net", "--", *words]

    def _restrictions(self) -> list[str]:
        pod, own = self._spec["securityContext"], self._container["securityContext"]
        words = ["--network", "none", "--pull", "never", "--user", f"{pod['runAsUser']}:{pod['runAsGroup']}"]
        if pod["seccompProfile"] != {"type": "RuntimeDefault"}:  # podman's own default
            raise SystemExit("The pod has a seccomp profile that this test does not know.")
        if own["readOnlyRootFilesystem"]:
            words += ["--read-only", "--read-only-tmpfs=false"]
        if not own["allowPrivilegeEscalation"]:
            words += ["--security-opt", "no-new-privileges"]
        for capability in own["capabilities"]["drop"]:
            words += ["--cap-drop", capability]
        limits = self._container["resources"]["limits"]
        words += ["--memory", str(_bytes(limits["memory"]))]
        return words + self._mounts(pod["fsGroup"])

    def _mounts(self, group: int) -> list[str]:
        volumes = {volume["name"]: volume for volume in self._spec["volumes"]}
        words = []
        for mount in self._container["volumeMounts"]:
            volume, target = volumes[mount["name"]], mount["mountPath"]
            if "emptyDir" in volume:
                size = _bytes(volume["emptyDir"]["sizeLimit"])
                words += ["--tmpfs", f"{target}:rw,nosuid,nodev,mode=1777,size={size}"]
                continue
            source = self._folder / mount["name"]
            if not source.exists():  # as a kubelet leaves a new volume: root's, writable for the pod's group
                source.mkdir()
                os.chown(source, 0, group)
                source.chmod(0o2775)
            words += ["--volume", f"{source}:{target}:{'ro' if mount.get('readOnly') else 'rw'}"]
        return words

    def _podman(self, *words: str) -> str:
        finished = subprocess.run(["podman", *words], capture_output=True, text=True, check=False)
        if finished.returncode:
            raise SystemExit(f"podman {' '.join(words)} failed:\n{finished.stderr}{self.log}")
        return finished.stdout.strip()


def configure_engine(folder: Path) -> None:
    """Let podman run here without systemd, cgroups v2 or a daemon."""
    path = folder / "containers.conf"
    path.write_text(ENGINE)
    os.environ["CONTAINERS_CONF"] = str(path)


def workload(overlay: Path) -> dict[str, Any]:
    """The Job or StatefulSet that ``kubectl kustomize`` makes of an overlay."""
    import yaml

    kubectl = Path(sys.executable).parent / "kubectl"
    text = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, check=True).stdout
    (found,) = [each for each in yaml.safe_load_all(text) if each["kind"] in ("Job", "StatefulSet")]
    return dict(found)


def probe(pod: Pod, port: int, service: str) -> bool:
    """Ask the health service inside the pod, as a kubelet does."""
    return not subprocess.run(pod.reach(sys.executable, "-c", _PROBE, str(port), service), check=False).returncode


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * _UNITS[quantity[-2:]]


_PROBE = """\
import sys, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    try:
        request = health_pb2.HealthCheckRequest(service=sys.argv[2])
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
    except grpc.RpcError:
        sys.exit(1)
    sys.exit(answer.status != health_pb2.HealthCheckResponse.SERVING)
"""
