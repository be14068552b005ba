# SPDX-License-Identifier: Apache-2.0
"""A search that is submitted to a mock cluster, with a test in the place of kubelet and Job controller."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pods
from mock_cluster import NAMESPACE, MockCluster
from real_server import RealServer, wait_for

SEARCH = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "2", "--seed", "5")
SUBMIT = ("submit", *SEARCH, "--image", "registry.example/nas:1", "--name", pods.JOB, "--gpus", "0")
NOT_OF_THE_SEARCH = ("--state-dir", "--data-root", "--listen", "--health-listen", "--metrics-listen", "--device")
JOBS_PATH = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def begin(cluster: MockCluster, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start nas-client."""
    return subprocess.Popen(
        [sys.executable, "-m", "client", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **cluster.environment, **environment},
    )


def client(cluster: MockCluster, *words: str, **environment: str) -> tuple[int, str, str]:
    """Run nas-client to its end: status, output, talk."""
    process = begin(cluster, *words, **environment)
    output, talk = process.communicate(timeout=60)
    assert "Traceback" not in talk
    return process.returncode, output, talk


def server_of(cluster: MockCluster, folder: Path, epoch_seconds: float) -> RealServer:
    """The server that the Job's container would be, on this machine: the same search, other addresses."""
    (job,) = wait_for(lambda: cluster.find_all("Job"), "the job")
    (nas,) = job["spec"]["template"]["spec"]["containers"]
    words = [word for word in nas["args"][1:] if not word.startswith(NOT_OF_THE_SEARCH)]
    folder.mkdir(exist_ok=True)
    environment = {"NAS_FAKE_EPOCH_SECONDS": str(epoch_seconds)}
    return RealServer(folder, (*words, "--executor", "fake"), environment, verb="run")


def run_pod(cluster: MockCluster, name: str, server: RealServer, *, made: int = 0) -> None:
    """What a kubelet does: start the server, then say that its pod is ready."""
    server.start()
    cluster.announce(name, server.address)
    cluster.put("Pod", pods.ready_pod(name, made=made))


def finish(cluster: MockCluster, kind: str, **details: str) -> None:
    """What the Job controller does at the end."""
    (job,) = cluster.find_all("Job")
    cluster.put("Job", {**job, "status": {"conditions": [pods.condition(kind, **details)]}})
