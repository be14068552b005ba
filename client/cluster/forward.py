# SPDX-License-Identifier: Apache-2.0
"""A way into a pod's loopback: ``kubectl port-forward``, because the Python library has none."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Protocol

from client.cluster import guard
from client.cluster.plan import API_PORT
from client.errors import ClientError, Exit

START_SECONDS = 30.0
_GUARD = (sys.executable, "-I", "-S", guard.__file__)
_KEPT_LINES = 20
"""How much of what kubectl says is kept: the reason stands in its last lines."""


class ForwardError(ClientError):
    """No way into a pod for now; the pod, its node or the cluster may come back, or another pod may take its place."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.UNAVAILABLE)


class Forwarder(Protocol):
    """Opens ways into pods."""

    def open(self, pod: str) -> AbstractContextManager[str]:
        """Open a way to the API of a pod; gives the address on this machine.

        Raises:
            ForwardError: there is none for now.
            ClientError: there will be none, as the user has no right to it.
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

        The way is closed at the end of the block, and when this process ends, however it ends: an open one would let
        every process of this machine reach the pod's API.

        Raises:
            ForwardError: kubectl finds no way, or says nothing within half a minute.
            ClientError: the user has no right to it.
        """
        # A session of its own: Ctrl-C is for the client, which then ends this.
        process = subprocess.Popen(
            [*_GUARD, *self._command, "port-forward", "--address", "127.0.0.1", f"pod/{pod}", f":{API_PORT}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        talk = _Talk(process)
        try:
            yield self._address(talk, pod)
        finally:
            _close(process)
            talk.join()

    def _address(self, talk: _Talk, pod: str) -> str:
        line = talk.first_line(START_SECONDS)
        found = re.search(r"127\.0\.0\.1:([0-9]+)", line or "")
        if found is not None:
            return f"127.0.0.1:{found[1]}"
        said = talk.complaint().rstrip(".") if line is not None else f"it said nothing within {START_SECONDS:.0f} s"
        if "(Forbidden)" in said:
            sentence = f"The cluster does not permit a port-forward to pod {pod}, which watching a job needs; ask its"
            raise ClientError(
                f"{sentence} administrator to let you create pods/portforward: {said}.", Exit.NOT_PERMITTED
            )
        raise ForwardError(f"kubectl cannot reach pod {pod}: {said}.")


class _Talk:
    """What kubectl writes, read in threads all the time: it would stop forwarding in front of a pipe that is full."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._first: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        self._readers = [
            threading.Thread(target=self._read_output, args=(process.stdout,), name="kubectl-output", daemon=True),
            threading.Thread(target=self._read_complaints, args=(process.stderr,), name="kubectl-errors", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def first_line(self, seconds: float) -> str | None:
        """The first line of output; empty if kubectl ended without one, None if nothing came in time."""
        try:
            return self._first.get(timeout=seconds)
        except queue.Empty:
            return None

    def complaint(self) -> str:
        """What kubectl, which has ended, wrote to standard error."""
        self._readers[1].join(timeout=1.0)
        return " ".join(" ".join(self._complaints).split()) or "it ended without a word"

    def join(self) -> None:
        """Wait for the ends of both pipes."""
        for reader in self._readers:
            reader.join(timeout=1.0)

    def _read_output(self, stream: IO[str]) -> None:
        with stream:
            self._first.put(stream.readline())
            for _ in stream:
                pass

    def _read_complaints(self, stream: IO[str]) -> None:
        with stream:
            self._complaints.extend(stream)


def _close(process: subprocess.Popen[str]) -> None:
    """End the guard, and with it kubectl and all that it started."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:  # only a machine that stands still
        process.kill()
        process.wait()
