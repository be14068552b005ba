# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server during a search: it goes on, and finds exactly what an undisturbed search finds."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer, children_of, fact_of, is_alive, wait_for

FAKE = ("--executor", "fake", "--workers", "2")
SIMULATED = ("--trainer", "simulated", "--workers", "2")
SEARCH = ("--dataset", "digits", "--block", "seib", "--seed", "7", "--max-iterations", "2", "--max-epochs", "4")
FINISHED = (*SEARCH, "--max-iterations", "1", "--max-epochs", "2", "--finish", "full")
TINY = (
    *("--dataset", "digits", "--block", "ib", "--seed", "3", "--max-iterations", "1", "--max-epochs", "3"),
    *("--train-limit", "120", "--threads", "1", "--initial", "C(8,3) P(2,2) IB(8,4,8,4,4,4) P(2,2) F() FC(10)"),
)
ALONE = (*TINY, "--max-iterations", "0", "--max-epochs", "6", "--patience", "6")
"""Trains the initial model and derives nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one server."""
    (tmp_path / "disturbed").mkdir()
    (tmp_path / "undisturbed").mkdir()
    return tmp_path


def run_undisturbed(folder: Path, options: tuple[str, ...], search: tuple[str, ...]) -> str:
    """Return the digest of a search that nothing happens to."""
    with RealServer(folder / "undisturbed", options, {"NAS_FAKE_EPOCH_SECONDS": "0"}) as server:
        search_id = server.start_search(*search)
        server.watch(search_id)
        assert 0 == server.stop()
        return server.digest(search_id)


@pytest.mark.parametrize("options", [FAKE, SIMULATED], ids=["fake", "simulated"])
def test_killed_again_and_again(folder: Path, options: tuple[str, ...]) -> None:
    """However often it is killed: events have no gap, nothing that was seen is lost, and the digest is the same."""
    expected = run_undisturbed(folder, options, SEARCH)
    with RealServer(folder / "disturbed", options, {"NAS_FAKE_EPOCH_SECONDS": "0.5"}) as server:
        search_id = server.start_search(*SEARCH)
        for sequence in (15, 40):
            server.wait_for_sequence(search_id, sequence)
            seen = int(server.search(search_id)["sequence"])
            server.kill()
            server.start()

            assert int(server.search(search_id)["sequence"]) >= seen
        server.kill()
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()
        events = server.watch(search_id)
        live = server.search(search_id)["digest"]
        server.stop()

        assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]
        assert "search_succeeded" == fact_of(events[-1])
        assert "attempt_lost" in {fact_of(event) for event in events}
        assert expected == server.digest(search_id) == live


@pytest.mark.parametrize("options", [FAKE, SIMULATED], ids=["fake", "simulated"])
def test_killed_while_it_finishes(folder: Path, options: tuple[str, ...]) -> None:
    """Killed twice in the stage after the search: it goes on there, and the digest is the same."""
    expected = run_undisturbed(folder, options, FINISHED)
    with RealServer(folder / "disturbed", options, {"NAS_FAKE_EPOCH_SECONDS": "1"}) as server:
        search_id = server.start_search(*FINISHED)
        for epochs in (1, 3):
            wait_for(lambda: server.search(search_id)["finishing_ids"], "the finishing stage")
            wait_for(partial(_has_done, server, search_id, "2-1", epochs), "its epochs")
            server.kill()
            server.start()
        server.kill()
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()
        events = server.watch(search_id)
        server.stop()

        facts = [fact_of(event) for event in events]
        stage = events[facts.index("finishing_started") : facts.index("finishing_completed")]
        assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]
        assert {"2-1", "2-2"} == {event["attempt_lost"]["child_id"] for event in stage if "attempt_lost" in event}
        assert "search_succeeded" == facts[-1]
        assert expected == server.digest(search_id)


@pytest.mark.slow
@pytest.mark.parametrize(("search", "commands"), [(TINY, 10), (ALONE, 4)], ids=["search", "no iterations"])
def test_killed_with_the_real_trainer(folder: Path, search: tuple[str, ...], commands: int) -> None:
    """Killed when a real training has done one epoch, the search ends with byte-identical weights.

    It kills itself, after so many commands: an epoch takes less time than a test takes to hear of it.
    """
    expected = run_undisturbed(folder, (), search)
    crash = {"NAS_CRASH_POINTS_ENABLED": "1", "NAS_CRASH_AT": f"engine.done:{commands}"}
    with RealServer(folder / "disturbed", (), crash) as server:
        search_id = server.start_search(*search)
        assert -signal.SIGKILL == server.wait()
        server.environment.clear()
        server.start()
        events = server.watch(search_id)
        server.stop()

        resumed = [event["attempt_started"]["resumed_after_epoch"] for event in events if "attempt_started" in event]
        assert expected == server.digest(search_id)
        assert max(resumed) >= 1


def test_no_orphans(folder: Path) -> None:
    """No worker outlives its server by two seconds."""
    with RealServer(folder / "disturbed", SIMULATED, {"NAS_FAKE_EPOCH_SECONDS": "5"}) as server:
        search_id = server.start_search(*SEARCH)
        wait_for(lambda: _attempts(server, search_id) == 2, "two attempts")
        workers = wait_for(lambda: _two_or_more(children_of(server.pid)), "their workers")

        server.kill()

        wait_for(lambda: not any(is_alive(pid) for pid in workers), "the workers to leave", seconds=2.0)


def _two_or_more(workers: Iterable[int]) -> list[int]:
    found = list(workers)
    return found if len(found) >= 2 else []


def _child(server: RealServer, search_id: str, child_id: str) -> dict[str, Any]:
    answer = server.client("--output", "json", "children", search_id, child_id)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _has_done(server: RealServer, search_id: str, child_id: str, epochs: int) -> bool:
    return bool(_child(server, search_id, child_id)["epoch_count"] >= epochs)


def _attempts(server: RealServer, search_id: str) -> int:
    return sum(_child(server, search_id, child_id)["attempts"] for child_id in ("1-1", "1-2"))
