# SPDX-License-Identifier: Apache-2.0
"""A real nas-server process and the real client, for tests that see only what a user sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

_DEADLINE_SECONDS = 100.0
_POLL_SECONDS = 0.01


def wait_for(condition: Callable[[], Any], what: str, seconds: float = _DEADLINE_SECONDS) -> Any:
    """Return the first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(_POLL_SECONDS)
    return value


@dataclass
class RealServer:
    """One state folder and the server processes that serve it in turn.

    Attributes:
        options: further options of the verb; state folder, address and port file are set.
        verb: ``serve`` or ``run``.
        metrics: option for the address of the metrics, before ``options``; off, so that servers need no port.
    """

    folder: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    verb: str = "serve"
    metrics: tuple[str, ...] = ("--metrics-listen", "off")
    _process: subprocess.Popen[bytes] | None = None

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def log(self) -> str:
        """What the servers have logged, without a line that is still being written."""
        written, end, _ = (self.folder / "server.log").read_text().rpartition("\n")
        return written + end

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """Where the server listens."""
        return (self.folder / "address").read_text().strip()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start a server and wait until it serves."""
        port_file = self.folder / "address"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "server", self.verb, "--state-dir", str(self.state_dir)]
        command += ["--listen", "127.0.0.1:0", *self.metrics, "--port-file", str(port_file), *self.options]
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})
        self._process = process
        wait_for(lambda: port_file.exists() or process.poll() is not None, "the server to serve")
        assert port_file.exists(), self.log  # who has served may have ended since

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = _DEADLINE_SECONDS) -> int:
        """Wait until the server ends by itself; returns the exit status."""
        assert self._process is not None
        status = self._process.wait(timeout=seconds)
        self._process = None
        return status

    @property
    def inherited(self) -> dict[str, str]:
        """The environment of this process."""
        return dict(os.environ)

    def client_command(self, *arguments: str) -> list[str]:
        """The words that run nas-client against this server."""
        return [sys.executable, "-m", "client", "--server", self.address, *arguments]

    def client(self, *arguments: str, timeout: float = _DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run nas-client to its end."""
        return subprocess.run(
            self.client_command(*arguments), capture_output=True, text=True, timeout=timeout, check=False
        )

    def client_process(self, *arguments: str) -> subprocess.Popen[str]:
        """Start nas-client."""
        return subprocess.Popen(
            self.client_command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def start_search(self, *arguments: str) -> str:
        """Start a search without watching it; returns its id."""
        started = self.client("start", *arguments, "--detach")
        assert started.returncode == 0, started.stderr
        return started.stdout.strip()

    def search(self, search_id: str) -> dict[str, Any]:
        """What ``get`` says."""
        answer = self.client("--output", "json", "get", search_id)
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def watch(self, search_id: str, timeout: float = _DEADLINE_SECONDS) -> list[dict[str, Any]]:
        """All events of a search, from the first to the last."""
        answer = self.client("--output", "jsonl", "watch", search_id, timeout=timeout)
        assert answer.returncode == 0, answer.stderr
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def wait_for_sequence(self, search_id: str, sequence: int) -> None:
        """Wait until a search has got that far."""
        wait_for(lambda: int(self.search(search_id)["sequence"]) >= sequence, f"event {sequence}")

    def digest(self, search_id: str) -> str:
        """What ``nas-server digest`` prints; the server must be stopped."""
        command = [sys.executable, "-m", "server", "digest", "--state-dir", str(self.state_dir), search_id]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()


def wait_for_fact(server: RealServer, search_id: str, name: str, **fields: Any) -> None:
    """Watch a search until this event comes; much faster than polling."""
    with server.client_process("--output", "jsonl", "watch", search_id) as watch:
        assert watch.stdout is not None
        for line in watch.stdout:
            fact = json.loads(line).get(name)
            if fact is not None and fields.items() <= fact.items():
                break
        else:
            raise AssertionError(f"the watch has ended without {name}: {watch.stderr and watch.stderr.read()}")
        watch.kill()


def children_of(pid: int) -> Iterator[int]:
    """Process ids of the living children of a process, and of theirs."""
    for task in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((task / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            yield int(task.name)
            yield from children_of(int(task.name))


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def fact_of(event: dict[str, Any]) -> str:
    """Name of the fact in an event that is given as JSON."""
    envelope = {"search_id", "sequence", "time", "running_time"}
    return next(name for name in event if name not in envelope)
