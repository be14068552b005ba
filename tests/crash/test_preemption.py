# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of an epoch: the workers keep what they have, and the search finds what it would have found."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer, children_of, fact_of, is_alive, wait_for_fact

TINY = (
    *("--dataset", "digits", "--block", "ib", "--seed", "3", "--max-iterations", "1", "--max-epochs", "3"),
    *("--train-limit", "600", "--batch-size", "1", "--threads", "1", "--max-parameters", "10000"),
    *("--initial", "C(8,3) P(2,2) IB(8,4,8,4,4,4) P(2,2) F() FC(10)"),
)
CHILD = "1-4"
"""The only one with so few parameters, so that no time goes into others."""
SEARCH = ("--dataset", "digits", "--block", "seib", "--seed", "7", "--max-iterations", "1", "--max-epochs", "3")
SIMULATED = ("--trainer", "simulated", "--workers", "2")
MOST_SECONDS = 20.0
"""Of the 30 that a cluster gives a process to end in."""


def stop_in_time(server: RealServer) -> None:
    """SIGTERM, and no worker is left."""
    workers = list(children_of(server.pid))
    begin = time.monotonic()

    assert 0 == server.stop()

    assert time.monotonic() - begin < MOST_SECONDS
    assert not any(is_alive(pid) for pid in workers)


def newest_checkpoint(server: RealServer, search_id: str) -> tuple[int, ...]:
    """Whole epochs, and steps of the next one, that are kept of the child."""
    folder = server.state_dir / "searches" / search_id / "checkpoints" / CHILD
    names = [re.findall(r"\d+", path.stem) for path in folder.glob("*.jsonl")]
    return max(tuple(int(number) for number in (*name, "0")[:2]) for name in names)


def losses(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Reason and detail of each lost attempt."""
    return [
        (event["attempt_lost"]["reason"], event["attempt_lost"]["detail"])
        for event in events
        if "attempt_lost" in event
    ]


@pytest.mark.slow
def test_a_training_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """Stopped in the second epoch, and again when the next attempt begins: no step is lost, the digest is the same."""
    (tmp_path / "undisturbed").mkdir()
    with RealServer(tmp_path / "undisturbed") as server:
        search_id = server.start_search(*TINY)
        server.watch(search_id)
        stop_in_time(server)
        expected = server.digest(search_id)

    with RealServer(tmp_path) as server:
        search_id = server.start_search(*TINY)
        wait_for_fact(server, search_id, "epoch_completed", child_id=CHILD)
        stop_in_time(server)
        first = newest_checkpoint(server, search_id)
        server.start()
        wait_for_fact(server, search_id, "attempt_started", child_id=CHILD, attempt=2)
        stop_in_time(server)
        second = newest_checkpoint(server, search_id)
        server.start()
        events = server.watch(search_id)
        stop_in_time(server)

        details = [f"interrupted; epoch {epochs + 1} goes on after step {steps}" for epochs, steps in (first, second)]
        resumed = [event["attempt_started"]["resumed_after_epoch"] for event in events if "attempt_started" in event]
        assert (1, 0) < first <= second
        assert first[1] > 0
        assert [("LOST_REASON_PREEMPTED", detail) for detail in details] == losses(events)
        assert [0, first[0], second[0]] == resumed[:3]
        assert expected == server.digest(search_id)


def test_sigterm_to_all_processes_at_once_preempts(tmp_path: Path) -> None:
    """Service managers do that: a worker leaves the answer to its server, and no child is blamed."""
    with RealServer(tmp_path, SIMULATED, {"NAS_FAKE_EPOCH_SECONDS": "60"}) as server:
        search_id = server.start_search(*SEARCH)
        for child_id in ("1-1", "1-2"):  # before its worker says so it may not have learned to pass SIGTERM over
            wait_for_fact(server, search_id, "attempt_started", child_id=child_id)
        for pid in children_of(server.pid):
            os.kill(pid, signal.SIGTERM)
        stop_in_time(server)
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()

        events = server.watch(search_id)

        assert [("LOST_REASON_PREEMPTED", "interrupted")] * 2 == losses(events)
        assert "search_succeeded" == fact_of(events[-1])


@pytest.mark.slow
def test_a_worker_that_does_not_answer_holds_up_nothing(tmp_path: Path) -> None:
    """One stands still: the server waits its ten seconds, kills it and is gone in time."""
    with RealServer(tmp_path, SIMULATED, {"NAS_FAKE_EPOCH_SECONDS": "60"}) as server:
        search_id = server.start_search(*SEARCH)
        wait_for_fact(server, search_id, "attempt_started", child_id="1-2")
        os.kill(max(children_of(server.pid)), signal.SIGSTOP)
        os.kill(min(children_of(server.pid)), signal.SIGSTOP)
        begin = time.monotonic()
        stop_in_time(server)
        seconds = time.monotonic() - begin
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()

        events = server.watch(search_id)

        assert seconds > 9
        assert {"LOST_REASON_PREEMPTED"} == {reason for reason, _ in losses(events)}
        assert "search_succeeded" == fact_of(events[-1])
