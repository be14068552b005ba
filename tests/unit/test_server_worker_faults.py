# SPDX-License-Identifier: Apache-2.0
"""Whatever a worker process does, its attempt comes to one outcome that says what happened, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import faulty_worker
import pytest
from attempts import Listener, make_request, worker_pids

from nas.search import commands
from nas.search.reasons import LostReason
from server.executor.attempts import ProcessExecutor
from server.executor.base import OUTCOMES
from server.executor.instructions import WorkerOptions
from server.executor.local import local_executor
from server.executor.process import WORKER
from server.files import StateFiles

FOREVER = 3600.0


@asynccontextmanager
async def _executor(
    folder: Path, *command: str, epoch_seconds: float = 0.0, leave_seconds: float = 30.0
) -> AsyncIterator[ProcessExecutor]:
    options = WorkerOptions(
        trainer="simulated", data_root=None, epoch_seconds=epoch_seconds, leave_seconds=leave_seconds
    )
    executor = local_executor(slots=2, files=StateFiles(folder), options=options, command=command or WORKER)
    try:
        yield executor
    finally:
        await executor.close()


def _faulty(fault: str) -> tuple[str, ...]:
    return (sys.executable, "-S", faulty_worker.__file__, fault)


EXITED, SIGNALLED = LostReason.WORKER_EXITED, LostReason.WORKER_SIGNALLED
VIOLATED = LostReason.PROTOCOL_VIOLATED
OUTCOMES_OF_FAULTS = {
    "deaf": (EXITED, "the worker exited with status 0 without a result"),
    "killed": (SIGNALLED, "the worker was ended by SIGKILL"),
    "killed_within_a_line": (SIGNALLED, "the worker was ended by SIGKILL"),
    "segfault": (SIGNALLED, "the worker was ended by SIGSEGV"),
    "abort": (SIGNALLED, "the worker was ended by SIGABRT"),
    "real_time_signal": (SIGNALLED, f"the worker was ended by signal {signal.SIGRTMIN + 3}"),
    "silent_success": (EXITED, "the worker exited with status 0 without a result"),
    "status": (
        EXITED,
        "the worker exited with status 3 without a result: "
        "ValueError:  [31mred [0m tab bell \N{REPLACEMENT CHARACTER} end",
    ),
    "long_last_words": (EXITED, f"the worker exited with status 1 without a result: {'x' * 200}"),
    "garbage": (VIOLATED, "no report: Expecting value: line 1 column 1 (char 0)"),
    "binary": (VIOLATED, "no report: 'utf-8' codec can't decode byte 0x80 in position 0: invalid start byte"),
    "long_line": (VIOLATED, "a line of the worker is longer than 1 MiB"),
    "unknown_report": (VIOLATED, "no report is called 'ReportParty'"),
    "stops_unasked": (VIOLATED, "the worker says that it is lost as preempted, which is not its to say"),
    "impossible_checkpoint": (VIOLATED, "no checkpoint took that long"),
}


async def test_how_long_a_checkpoint_took_is_told_and_not_reported(tmp_path: Path) -> None:
    """Whoever measures hears of it; of the attempt only its outcome is heard."""
    listener, request, heard = Listener(), make_request(), list[float]()
    options = WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=0.0, on_checkpoint=heard.append)
    command = _faulty("checkpoints_before_its_outcome")
    executor = local_executor(slots=2, files=StateFiles(tmp_path), options=options, command=command)

    await executor.launch(request, listener.hear)
    await listener.outcome(request)
    await executor.close()

    assert [0.25] == heard
    assert 1 == len(listener.heard)


@pytest.mark.parametrize("fault", OUTCOMES_OF_FAULTS)
async def test_a_fault_is_classified_and_told(tmp_path: Path, fault: str) -> None:
    """The attempt is lost once, with its kind of fault and a printable sentence, and its slot is free again."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, *_faulty(fault)) as executor:
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

        assert frozenset() == executor.running()
    assert OUTCOMES_OF_FAULTS[fault] == (outcome.reason, outcome.detail)
    assert outcome.detail.isprintable()
    assert [outcome] == listener.of(request)
    assert set() == worker_pids()


async def test_a_worker_that_only_closes_its_output_is_ended(tmp_path: Path) -> None:
    """It could never report an outcome, so it is given a moment and then killed."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, *_faulty("closes_its_output"), leave_seconds=0.1) as executor:
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

        assert set() == worker_pids()
    expected = "the worker closed its output without a result and did not leave"
    assert (VIOLATED, expected) == (outcome.reason, outcome.detail)


@pytest.mark.parametrize("fault", ["two_outcomes", "talks_after_its_outcome", "stays_after_its_outcome"])
async def test_only_the_first_outcome_counts(tmp_path: Path, fault: str) -> None:
    """What a worker says or does after its outcome is nobody's business, and it cannot hold up a close."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, *_faulty(fault), leave_seconds=FOREVER) as executor:
        await executor.launch(request, listener.hear)
        outcome = await listener.outcome(request)

    assert LostReason.OUT_OF_MEMORY is outcome.reason
    assert [outcome] == listener.of(request)
    assert set() == worker_pids()


async def test_a_worker_that_stays_after_its_outcome_is_ended(tmp_path: Path) -> None:
    """It keeps neither its slot nor, for long, the memory of its device."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, *_faulty("stays_after_its_outcome"), leave_seconds=0.05) as executor:
        await executor.launch(request, listener.hear)
        await listener.outcome(request)
        (pid,) = worker_pids()

        async with asyncio.timeout(10):
            await _gone(pid)

        assert frozenset() == executor.running()


async def test_a_worker_is_lost_wherever_it_is_killed(tmp_path: Path) -> None:
    """Kill -9 in the middle of a training; a second attempt succeeds."""
    listener, request, second = Listener(), make_request(), make_request(attempt=2)
    async with _executor(tmp_path, epoch_seconds=FOREVER) as executor:
        await executor.launch(request, listener.hear)
        await listener.report(request, commands.ReportStarted)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGKILL)
        lost = await listener.outcome(request)
    async with _executor(tmp_path) as executor:
        await executor.launch(second, listener.hear)

        outcome = await listener.outcome(second)

    assert SIGNALLED is lost.reason
    assert isinstance(outcome, commands.ReportTrained)


async def test_a_warm_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """Nobody had given it anything to do, so no attempt is lost by it."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path) as executor:
        await executor.expect(1)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await _gone(pid)
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

    assert isinstance(outcome, commands.ReportTrained)
    assert [] == list((tmp_path / "searches").glob("worker-*.log"))


async def test_a_dead_warm_worker_is_replaced_while_waiting(tmp_path: Path) -> None:
    """The next time that attempts are expected there is a living one."""
    async with _executor(tmp_path) as executor:
        await executor.expect(1)
        (first,) = worker_pids()
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            await _gone(first)

        await executor.expect(1)

        (second,) = worker_pids()
        assert first != second
        await executor.expect(0)
        assert set() == worker_pids()


async def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    """Neither expecting nor launching raises; the attempt is lost with the system's reason."""
    listener, request = Listener(), make_request()
    async with _executor(tmp_path, str(tmp_path / "nothing")) as executor:
        await executor.expect(1)
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

    assert (EXITED, "no worker could be started: No such file or directory") == (outcome.reason, outcome.detail)


async def test_a_log_that_cannot_be_placed_loses_the_attempt_and_its_worker(tmp_path: Path) -> None:
    """A file stands where the folder of logs belongs: the worker that was started for it is let go."""
    listener, request = Listener(), make_request()
    folder = StateFiles(tmp_path).log(request.key.search_id, request.key.child_id, 1).parent
    folder.parent.mkdir(parents=True)
    folder.touch()
    async with _executor(tmp_path) as executor:
        await executor.launch(request, listener.hear)

        outcome = await listener.outcome(request)

        assert set() == worker_pids()
    assert EXITED is outcome.reason
    assert outcome.detail.startswith("no worker could be started: ")


async def test_the_last_words_stay_in_the_log_of_the_attempt(tmp_path: Path) -> None:
    """The whole of what the worker wrote to its standard error is there to be read."""
    listener, request = Listener(), make_request(attempt=4)
    async with _executor(tmp_path, *_faulty("status")) as executor:
        await executor.launch(request, listener.hear)
        await listener.outcome(request)

    log = StateFiles(tmp_path).log(request.key.search_id, request.key.child_id, 4)
    assert log.read_bytes().startswith(b"Traceback\n  line 1\nValueError: \x1b[31mred")


async def test_one_outcome_an_attempt_however_many_follow_each_other(tmp_path: Path) -> None:
    """Twenty trainings in a row on warm workers: every line is a report, and each attempt has one outcome."""
    listener = Listener()
    requests = [make_request("1-1", attempt) for attempt in range(1, 21)]
    async with _executor(tmp_path) as executor:
        for request in requests:
            await executor.expect(1)
            await executor.launch(request, listener.hear)
            assert isinstance(await listener.outcome(request), commands.ReportTrained)

    assert len(requests) == sum(isinstance(report, OUTCOMES) for _, report in listener.heard)


async def _gone(pid: int) -> None:
    """Wait until a process has ended, without looking again and again."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop.add_reader(descriptor, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _is_gone_within(pid: int, seconds: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


SERVER = """
import asyncio, sys
from pathlib import Path
from attempts import Listener, make_request, worker_pids
from nas.search import commands
from server.executor.instructions import WorkerOptions
from server.executor.local import local_executor
from server.files import StateFiles

async def main():
    options = WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=3600.0)
    executor = local_executor(slots=2, files=StateFiles(Path(sys.argv[1])), options=options)
    listener, request = Listener(), make_request()
    await executor.launch(request, listener.hear)
    await listener.report(request, commands.ReportStarted)
    await executor.expect(1)
    print(*worker_pids(), flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda end: end.name)
def test_workers_die_with_their_server(tmp_path: Path, end: signal.Signals) -> None:
    """However the server ends: the one in training and the warm one are gone within two seconds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        pids = [int(word) for word in server.stdout.readline().split()]
        server.send_signal(end)
        server.wait()

        assert 2 == len(pids)
        assert [True, True] == [_is_gone_within(pid, 2.0) for pid in pids]


def _worker(parent: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*WORKER, "--trainer", "simulated"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NAS_WORKER_PARENT": str(parent)},
    )


@pytest.mark.parametrize(
    ("parent", "act"),
    [
        pytest.param(os.getpid, lambda worker: worker.stdin.close(), id="end of input"),
        pytest.param(lambda: 1 << 22, lambda worker: None, id="another parent"),
    ],
)
def test_a_worker_leaves_when_its_server_is_gone(
    parent: Callable[[], int], act: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """At the end of its input, where the kernel sends no signal, and when the server died too early for one."""
    with _worker(parent()) as worker:
        act(worker)

        assert 0 == worker.wait(timeout=30)
