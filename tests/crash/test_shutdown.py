# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and a full disk: the search stops where it is, says why, and goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_server import RealServer, children_of, fact_of, is_alive, wait_for, wait_for_fact

SEARCH = ("--dataset", "digits", "--block", "seib", "--seed", "7", "--max-iterations", "1", "--max-epochs", "3")
SIMULATED = ("--trainer", "simulated", "--workers", "2")


def test_sigterm_preempts(tmp_path: Path) -> None:
    """SIGTERM ends the server soon with 0 and no worker; each attempt is preempted, which counts against no child."""
    with RealServer(tmp_path, SIMULATED, {"NAS_FAKE_EPOCH_SECONDS": "60"}) as server:
        search_id = server.start_search(*SEARCH)
        wait_for_fact(server, search_id, "attempt_started", child_id="1-2")
        workers = list(children_of(server.pid))
        assert len(workers) >= 2
        begin = time.monotonic()

        status = server.stop()

        assert 0 == status
        assert time.monotonic() - begin < 20
        assert not any(is_alive(pid) for pid in workers)
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()
        events = server.watch(search_id)
        lost = [event["attempt_lost"]["reason"] for event in events if "attempt_lost" in event]
        assert {"LOST_REASON_PREEMPTED"} == set(lost)
        assert "search_succeeded" == fact_of(events[-1])


def test_sigterm_ends_a_watch(tmp_path: Path) -> None:
    """A watcher is told that the server leaves within a second or so, not after the whole grace."""
    with RealServer(tmp_path, ("--executor", "fake"), {"NAS_FAKE_EPOCH_SECONDS": "5"}) as server:
        search_id = server.start_search(*SEARCH)
        watch = server.client_process("watch", search_id, "--reconnect", "1")
        assert watch.stdout is not None
        watch.stdout.readline()

        server.stop()
        _, said = watch.communicate(timeout=10)

        assert 5 == watch.returncode
        assert "shutting down" in said or "no server" in said.lower()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_pauses(small_disk: Path) -> None:
    """Without room the search waits and says so; reading works; with room it goes on by itself to the same result."""
    with RealServer(small_disk, SIMULATED, {"NAS_FAKE_EPOCH_SECONDS": "1"}) as server:
        search_id = server.start_search(*SEARCH)
        wait_for_fact(server, search_id, "attempt_started")
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                pass
        wait_for(lambda: "PAUSE_REASON_DISK_FULL" == server.search(search_id)["pause_reason"], "the search to pause")

        ballast.unlink()
        events = server.watch(search_id)

        assert "search_succeeded" == fact_of(events[-1])
        assert "PAUSE_REASON_UNSPECIFIED" == server.search(search_id)["pause_reason"]
