# SPDX-License-Identifier: Apache-2.0
"""A way into a pod's loopback: ``kubectl port-forward``, because the Python library has none."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from client.cluster.plan import API_PORT
from client.errors import ClientError, Exit

START_SECONDS = 30.0


class Forwarder(Protocol):
    """Opens ways into pods."""

    def open(self, pod: str) -> AbstractContextManager[str]:
        """Open a way to the API of a pod; gives the address on this machine.

        Raises:
            ClientError: there is none.
        """


class Kubectl:
    """Opens ways with the kubectl of this machine."""

    def __init__(self, *, context: str | None, namespace: str) -> None:
        """Find kubectl.

        Raises:
            ClientError: there is none.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise ClientError(
                "Following a job needs kubectl, which is not on this machine's PATH; install it, or use --detach.",
                Exit.UNAVAILABLE,
            )
        self._command = [program, "--namespace", namespace, *(["--context", context] if context else [])]

    @contextmanager
    def open(self, pod: str) -> Iterator[str]:
        """Open a way to the API of a pod; gives the address on this machine.

        Raises:
            ClientError: kubectl says no, or nothing within half a minute.
        """
        # A session of its own: Ctrl-C is for the client, which then ends this.
        process = subprocess.Popen(
            [*self._command, "port-forward", "--address", "127.0.0.1", f"pod/{pod}", f":{API_PORT}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield self._address(process, pod)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def _address(self, process: subprocess.Popen[str], pod: str) -> str:
        assert process.stdout is not None  # noqa: S101 - asked for above
        assert process.stderr is not None  # noqa: S101
        alarm = threading.Timer(START_SECONDS, process.kill)
        alarm.start()
        line = process.stdout.readline()
        alarm.cancel()
        found = re.search(r"127\.0\.0\.1:([0-9]+)", line)
        if found is None:
            process.kill()
            said = " ".join(process.stderr.read().split()) or f"nothing within {START_SECONDS:.0f} s"
            raise ClientError(f"kubectl cannot reach pod {pod}: {said}.", Exit.UNAVAILABLE)
        return f"127.0.0.1:{found[1]}"
