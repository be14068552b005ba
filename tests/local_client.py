# SPDX-License-Identifier: Apache-2.0
"""The client with ``--local``, for tests that see only what a user sees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from real_server import is_alive, wait_for

FAKE = {"NAS_EXECUTOR": "fake", "NAS_FAKE_EPOCH_SECONDS": "0.05"}
"""Of a server whose training only takes time."""
_NONE: Mapping[str, str] = {}


class Local:
    """The client with ``--local`` on one state folder.

    Attributes:
        here: the folder that the client is called from.
    """

    def __init__(self, state_dir: Path, environment: Mapping[str, str] = _NONE, *, here: Path | None = None) -> None:
        self.state_dir = state_dir
        self.here = here
        self._environment = {**os.environ, **environment, "NAS_STATE_DIR": str(state_dir)}

    def run(self, *arguments: str, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run nas-client to its end."""
        return subprocess.run(
            [sys.executable, "-m", "client", "--local", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**self._environment, **environment},
            cwd=self.here,
        )

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start nas-client."""
        return subprocess.Popen(
            [sys.executable, "-m", "client", "--local", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=self.here,
        )

    def servers(self) -> list[int]:
        """Process ids of the folder's servers."""
        found = []
        for task in Path("/proc").glob("[0-9]*"):
            try:
                words = (task / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"serve" in words and os.fsencode(self.state_dir) in words and is_alive(int(task.name)):
                found.append(int(task.name))
        return found

    def processes(self) -> list[int]:
        """Process ids of everything that works for the folder: its servers, and what they have started."""
        found = []
        for task in Path("/proc").glob("[0-9]*"):
            try:
                variables = (task / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"NAS_STATE_DIR=" + os.fsencode(self.state_dir) in variables and is_alive(int(task.name)):
                found.append(int(task.name))
        return found

    def kill(self) -> None:
        """Kill -9 the folder's servers."""
        for pid in self.servers():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.servers(), "the server to die")
