# SPDX-License-Identifier: Apache-2.0
"""The executor for Ray on a cluster of several raylets: the contract of all executors, and what nodes add to it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import faulty_worker
import pytest
from attempts import Listener, make_request
from executor_suite import FOREVER, ExecutorContract
from ray_nodes import RayNodes
from real_server import RealServer, fact_of, wait_for, wait_for_fact

from nas.search.reasons import LostReason
from server.executor.base import Executor
from server.executor.instructions import WorkerOptions
from server.executor.ray import ray_executor
from server.executor.ray_worker import Demand
from server.executor.workers import PlaceError
from server.files import StateFiles

# One process starts the cluster for all of these tests.
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    """A cluster with one node for workers."""
    found = RayNodes()
    found.add()
    yield found
    found.close()


class TestRayExecutor(ExecutorContract):
    """Attempts in real worker processes on a node."""

    @pytest.fixture(autouse=True)
    def _on(self, nodes: RayNodes) -> None:
        self._nodes = nodes

    def make(self, folder: Path, *, epoch_seconds: float) -> Executor:
        options = WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=epoch_seconds)
        return ray_executor(
            slots=2,
            files=StateFiles(folder),
            options=options,
            address=self._nodes.address,
            demand=Demand(cpus=1, gpus=0),
        )

    def processes(self) -> set[int]:
        """Those that are left once the nodes have had the time to end what is no longer wanted."""
        deadline = time.monotonic() + 30.0
        while (found := self._nodes.workers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found


EXITED, SIGNALLED = LostReason.WORKER_EXITED, LostReason.WORKER_SIGNALLED
VIOLATED = LostReason.PROTOCOL_VIOLATED
OUTCOMES_OF_FAULTS = {
    "killed_within_a_line": (SIGNALLED, "the worker was ended by SIGKILL"),
    "status": (EXITED, "the worker exited with status 3 without a result: ValueError:  [31mred [0m tab bell � end"),
    "garbage": (VIOLATED, "no report: Expecting value: line 1 column 1 (char 0)"),
    "long_line": (VIOLATED, "a line of the worker is longer than 1 MiB"),
}


@asynccontextmanager
async def _executor(
    nodes: RayNodes, folder: Path, *program: str, demand: Demand | None = None, epoch_seconds: float = FOREVER
) -> AsyncIterator[Executor]:
    executor = ray_executor(
        slots=2,
        files=StateFiles(folder),
        options=WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=epoch_seconds),
        address=nodes.address,
        demand=demand or Demand(cpus=1, gpus=0),
        program=program or None,
    )
    try:
        yield executor
    finally:
        await executor.close()


@pytest.mark.parametrize("fault", OUTCOMES_OF_FAULTS)
async def test_a_fault_on_a_node_is_told_as_one_of_this_machine(nodes: RayNodes, tmp_path: Path, fault: str) -> None:
    """Its kind, and the last words from the node; the log lies where those of other attempts lie."""
    listener, request = Listener(), make_request()
    async with _executor(nodes, tmp_path, sys.executable, "-S", faulty_worker.__file__, fault) as executor:
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

    assert OUTCOMES_OF_FAULTS[fault] == (outcome.reason, outcome.detail)
    assert [outcome] == listener.of(request)
    assert StateFiles(tmp_path).log(request.key.search_id, request.key.child_id, 1).exists()


async def test_a_worker_that_no_node_can_hold_is_given_up(nodes: RayNodes, tmp_path: Path) -> None:
    """Ray itself would wait for ever without a word."""
    listener, request = Listener(), make_request()
    demand = Demand(cpus=1, gpus=1, pending_seconds=0.1)
    async with _executor(nodes, tmp_path, demand=demand) as executor:
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

    hint = "the Ray cluster has no GPU; add a node with one, or leave out --ray-gpus"
    assert (EXITED, f"no worker could be started: {hint}") == (outcome.reason, outcome.detail)


async def test_a_node_without_the_shared_folders_is_told(nodes: RayNodes, tmp_path: Path) -> None:
    """Here: another server has marked the folder as its own since."""
    listener, request = Listener(), make_request()
    async with _executor(nodes, tmp_path) as executor:
        for mark in StateFiles(tmp_path).marks:
            mark.write_text("another volume")
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

    assert EXITED is outcome.reason
    assert f"does not see the server's {tmp_path / 'searches'}; mount the same volume there" in outcome.detail


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379"])
def test_a_cluster_that_does_not_answer_is_one_sentence(tmp_path: Path, address: str) -> None:
    """At once; Ray itself would try for minutes."""
    options = WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=0.0)

    with pytest.raises(PlaceError, match=f"no Ray cluster answers at {address}"):
        ray_executor(
            slots=1, files=StateFiles(tmp_path), options=options, address=address, demand=Demand(cpus=1, gpus=0)
        )


TINY = (
    *("--dataset", "digits", "--block", "ib", "--seed", "3", "--max-iterations", "0", "--max-epochs", "4"),
    *("--train-limit", "200", "--batch-size", "1", "--threads", "1"),
    *("--initial", "C(8,3) P(2,2) IB(8,4,8,4,4,4) P(2,2) F() FC(10)"),
)


def _options(nodes: RayNodes) -> tuple[str, ...]:
    return ("--executor", "ray", "--ray-address", nodes.address)


def test_a_training_goes_on_on_another_node(nodes: RayNodes, tmp_path: Path) -> None:
    """Its node is removed after the first epoch; the result is that of a search on one machine without Ray."""
    (tmp_path / "undisturbed").mkdir()
    with RealServer(tmp_path / "undisturbed") as server:
        search_id = server.start_search(*TINY)
        server.watch(search_id)
        server.stop()
        expected = server.digest(search_id)

    nodes.add()
    with RealServer(tmp_path, _options(nodes), nodes.environment) as server:
        search_id = server.start_search(*TINY)
        checkpoints = server.state_dir / "searches" / search_id / "checkpoints"
        wait_for(lambda: any(checkpoints.glob("*/epoch-*.jsonl")), "the first epoch to end")
        (worker,) = nodes.workers()
        os.kill(worker, signal.SIGSTOP)  # or the training might end before its node does
        nodes.remove_that_of(worker)
        events = server.watch(search_id)
        assert 0 == server.stop()

        started = [event["attempt_started"] for event in events if "attempt_started" in event]
        (lost,) = [event["attempt_lost"] for event in events if "attempt_lost" in event]
        assert "LOST_REASON_WORKER_SIGNALLED" == lost["reason"]
        assert lost["detail"].startswith("the worker was lost with its node")
        assert [1, 2] == [attempt["attempt"] for attempt in started[:2]]
        assert started[1]["resumed_after_epoch"] >= 1
        assert "search_succeeded" == fact_of(events[-1])
        assert expected == server.digest(search_id)


def test_no_worker_outlives_a_server_that_is_killed(nodes: RayNodes, tmp_path: Path) -> None:
    """Kill -9: its Ray job ends, and with it the actor and the worker, within seconds; SIGTERM asks first, as ever."""
    environment = {**nodes.environment, "NAS_FAKE_EPOCH_SECONDS": "60"}
    with RealServer(tmp_path, (*_options(nodes), "--trainer", "simulated"), environment) as server:
        search_id = server.start_search(*TINY)
        wait_for_fact(server, search_id, "attempt_started", attempt=1)
        assert 1 == len(nodes.workers())
        server.kill()
        wait_for(lambda: not nodes.workers(), "the worker to end", 10)
        server.start()
        wait_for_fact(server, search_id, "attempt_started", attempt=2)

        assert 0 == server.stop()

        assert not nodes.workers()
        assert "preempted" in server.log
