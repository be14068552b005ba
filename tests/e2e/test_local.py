# SPDX-License-Identifier: Apache-2.0
"""``--local``: a server of one's own that starts when needed, survives its client and leaves when nobody needs it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_client import FAKE, Local
from real_server import wait_for

SEARCH = ("start", "--dataset", "digits", "--block", "seib", "--max-iterations", "1", "--max-epochs", "3")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """A state folder that does not exist yet."""
    client = Local(tmp_path / "state", FAKE)
    yield client
    client.kill()


def test_no_second_terminal(local: Local) -> None:
    """The first call starts the server, which only its owner can talk to; the next call finds it."""
    first = local.run("list")
    servers = local.servers()
    local.run("list")

    assert 0 == first.returncode, first.stderr
    assert 1 == len(servers)
    assert servers == local.servers()
    assert 0o600 == (local.state_dir / "socket").stat().st_mode & 0o777
    assert 0o700 == local.state_dir.stat().st_mode & 0o777


def test_client_and_server_killed_in_turn(tmp_path: Path) -> None:
    """Ten times each: the next call goes on with the search, and no worker, server or socket is left over."""
    local = Local(tmp_path / "state", {"NAS_TRAINER": "simulated", "NAS_FAKE_EPOCH_SECONDS": "60"})
    command = (*SEARCH, "--request-id", "0c6a9d62-7d54-4d37-9a51-1de1a1a3a1f0")
    try:
        for _ in range(10):
            client = local.spawn(*command)
            assert client.stdout is not None
            assert any("attempt" in line for line in iter(client.stdout.readline, ""))
            client.kill()
            client.communicate()
            wait_for(lambda: len(local.processes()) > 1, "a worker, who could become an orphan")
            local.kill()
            wait_for(lambda: not local.processes(), "the workers to die with their server")

        ended = local.run("--output", "json", *command, NAS_FAKE_EPOCH_SECONDS="0")
        searches = json.loads(local.run("--output", "json", "list").stdout)["searches"]
        (server,) = local.servers()
        os.kill(server, signal.SIGTERM)
        wait_for(lambda: not local.processes(), "the last server to leave")

        assert 0 == ended.returncode, ended.stderr
        assert "STATE_SUCCEEDED" == json.loads(ended.stdout)["state"]
        assert 1 == len(searches)
        assert not {"socket", "address"} & {path.name for path in local.state_dir.iterdir()}
    finally:
        local.kill()


def test_two_first_calls(local: Local) -> None:
    """Calls that all find no server end up with the same one; the other servers give way at the folder's lock."""
    calls = [local.spawn("--output", "json", "list") for _ in range(4)]

    statuses = [call.wait(timeout=60) for call in calls]
    for call in calls:
        call.communicate()

    assert [0] * 4 == statuses
    wait_for(lambda: 1 == len(local.servers()), "the servers that came second to leave")


def test_a_stale_socket_is_no_obstacle(local: Local) -> None:
    """A socket file that nobody listens on is replaced."""
    local.state_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(local.state_dir / "socket"))
    (local.state_dir / "address").write_text(f"unix:{local.state_dir / 'socket'}\n")

    assert 0 == local.run("list").returncode


def test_a_long_path(tmp_path: Path) -> None:
    """A state folder whose path is too long for a socket has its socket elsewhere, as private."""
    local = Local(tmp_path / ("long" * 30), FAKE)
    try:
        answer = local.run("list")
        socket_file = Path((local.state_dir / "address").read_text().strip().removeprefix("unix:"))

        assert 0 == answer.returncode, answer.stderr
        assert 0o600 == socket_file.stat().st_mode & 0o777
        assert 0o700 == socket_file.parent.stat().st_mode & 0o777
    finally:
        local.kill()


def test_somebody_elses_folder(local: Local) -> None:
    """Another user's state folder is refused with one sentence and exit code 6."""
    if os.geteuid() != 0:
        pytest.skip("giving a folder to another user needs root")
    local.state_dir.mkdir()
    os.chown(local.state_dir, 12345, 12345)

    refused = local.run("list")

    assert 6 == refused.returncode
    assert "belongs to another user" in refused.stderr


def test_a_server_that_cannot_start(local: Local) -> None:
    """What keeps the server from starting is said in one sentence."""
    refused = local.run("list", NAS_WORKERS="0")

    assert 5 == refused.returncode
    assert "--workers" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_idle_servers_leave(local: Local) -> None:
    """A server that nobody talks to and that has no search to go on with ends by itself."""
    local.run("list", NAS_IDLE_TIMEOUT="0.3")

    wait_for(lambda: not local.servers(), "the idle server to leave")
    assert not (local.state_dir / "address").exists()


def test_a_search_keeps_its_server(local: Local) -> None:
    """A running search keeps the server although no client is there, and then lets it go."""
    started = local.run("start", *SEARCH[1:], "--detach", NAS_FAKE_EPOCH_SECONDS="60")
    local.kill()

    local.run("list", NAS_IDLE_TIMEOUT="0.2")  # so impatient a server could leave before a first search is started

    assert 0 == started.returncode, started.stderr
    wait_for(lambda: not local.servers(), "the server to leave after the search")
    (search,) = json.loads(local.run("--output", "json", "list", NAS_FAKE_EPOCH_SECONDS="60").stdout)["searches"]
    assert "STATE_SUCCEEDED" == search["state"]
