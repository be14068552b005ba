# SPDX-License-Identifier: Apache-2.0
"""A real Ray cluster on this machine: several raylets, each a node with processors of its own."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

_VARIABLE = "NAS_TEST_OF_CLUSTER"


class RayNodes:
    """A head without processors, where servers are drivers, and nodes for workers; on a disk of their own to clean up.

    Attributes:
        environment: of servers, so that they are let in and that their workers can be told from others.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="ray-")  # short: paths of sockets have at most 107 characters
        self.environment = {
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": self._folder,
            "RAY_USAGE_STATS_ENABLED": "0",
            _VARIABLE: secrets.token_hex(8),
        }
        os.environ.update(self.environment)
        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster: Any = Cluster()
        self._nodes: list[Any] = []
        self._add(head)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        address: str = self._cluster.address
        return address

    def add(self, cpus: int = 2) -> None:
        """Start a node and wait until the cluster knows it."""
        self._nodes.append(self._add({"num_cpus": cpus}))

    def _add(self, options: dict[str, Any]) -> Any:
        """Start a raylet; Ray gives it 30 s, which are not enough where too much else is going on."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._cluster.add_node(**options, **_SMALL)
            except Exception as error:
                if not tries_left or not _TOO_LATE.search(str(error)):
                    raise
        raise AssertionError("it was tried at least once")

    def remove_that_of(self, pid: int) -> None:
        """End the node that a process runs on, with all that runs there."""
        above = set(_ancestors(pid))
        (node,) = [node for node in self._nodes if node.all_processes["raylet"][0].process.pid in above]
        self._nodes.remove(node)
        self._cluster.remove_node(node)

    def workers(self) -> set[int]:
        """Living worker processes of the servers of this cluster, whoever is their parent now."""
        return {pid for pid, command in self._processes() if b"server.worker" in command}

    def _processes(self) -> Iterator[tuple[int, list[bytes]]]:
        """Everything that was started with the environment of this cluster."""
        mark = f"{_VARIABLE}={self.environment[_VARIABLE]}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    yield int(process.name), (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue

    def close(self) -> None:
        """End all nodes, and the helper processes that sometimes outlive a node of Ray."""
        self._cluster.shutdown()
        for pid, _ in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in self.environment:
            os.environ.pop(name, None)
        shutil.rmtree(self._folder, ignore_errors=True)


_SMALL = {"object_store_memory": 80 << 20}
_TRIES = 4
_TOO_LATE = re.compile("timed out during startup|Timed out waiting for file")


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found
