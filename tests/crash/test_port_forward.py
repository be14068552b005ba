# SPDX-License-Identifier: Apache-2.0
"""A port-forward is an open way to the API of a pod: it ends with the client, however the client ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from real_server import wait_for

KILLS = 50
AT_ONCE = 10
CLIENT = """\
import sys, time
from client.cluster.forward import Kubectl

with Kubectl(context=None, namespace="ml").open("nas-search-a") as address:
    print(address, flush=True)
    time.sleep(600)
"""
# As version managers and cloud tools install it: a wrapper that starts the real program and waits for it.
KUBECTL = """\
#!/bin/sh
echo $$ > "$NAS_TEST_PIDS.wrapper"
sh -c 'echo $$ > "$NAS_TEST_PIDS.program"
echo "Forwarding from 127.0.0.1:1 -> 50051"
exec sleep 600' &
wait
"""


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than an exit status that nobody has read yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left_behind(places: list[Path]) -> list[int]:
    """The processes of kubectl that still run."""
    files = [place.with_name(f"{place.name}.{what}") for place in places for what in ("wrapper", "program")]
    pids = [int(text) for text in (file.read_text() for file in files if file.exists()) if text.strip()]
    return [pid for pid in pids if is_running(pid)]


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH with a kubectl that says what the real one says."""
    program = tmp_path / "bin/kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def start(place: Path, path: str) -> subprocess.Popen[bytes]:
    """A client that has a way into a pod, or is about to."""
    environment = {**os.environ, "PATH": path, "NAS_TEST_PIDS": str(place)}
    return subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, env=environment)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
def test_no_kill_leaves_a_port_forward_behind(programs: str, tmp_path: Path, number: signal.Signals) -> None:
    """50 kills, half of them while the way is being opened: nothing of kubectl outlives any of them."""
    places = [tmp_path / f"kill-{count}" for count in range(KILLS)]
    for first in range(0, KILLS, AT_ONCE):
        batch = places[first : first + AT_ONCE]
        clients = [start(place, programs) for place in batch]
        for count, client in enumerate(clients):
            assert client.stdout
            if count % 2:  # the way is open
                assert b"127.0.0.1:1\n" == client.stdout.readline()
            else:  # kubectl has been started, and nothing else is known
                wrapper = batch[count].with_name(f"{batch[count].name}.wrapper")
                wait_for(wrapper.exists, "kubectl")
            client.send_signal(number)
        for client in clients:
            client.communicate(timeout=30)
        assert {-number} == {client.returncode for client in clients}

    deadline = time.monotonic() + 10
    while left_behind(places) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert KILLS == sum(place.with_name(f"{place.name}.wrapper").exists() for place in places)
    assert [] == left_behind(places)


def test_end_of_the_block_ends_kubectl(programs: str, tmp_path: Path) -> None:
    """The way is closed with the block, wrapper and program alike, before the client goes on."""
    place = tmp_path / "block"
    program = CLIENT.replace("time.sleep(600)", "pass")
    environment = {**os.environ, "PATH": programs, "NAS_TEST_PIDS": str(place)}

    finished = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, check=True)

    assert b"127.0.0.1:1\n" == finished.stdout
    assert [] == left_behind([place])
