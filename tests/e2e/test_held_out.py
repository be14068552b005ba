# SPDX-License-Identifier: Apache-2.0
"""The test part of a real search: read once, after the search has stopped, and without any influence before that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import TEST_IMAGES, idx_bytes, write_idx_set
from real_server import RealServer

ONE = (
    *("--block", "ib", "--seed", "5", "--max-iterations", "1", "--max-epochs", "2", "--threads", "1"),
    *("--precision", "fp32", "--initial", "C(4,3) P(4,4) IB(4,2,4,2,2,2) P(2,2) F() FC(10)"),
)
LISTENER = """\
import os, sys, time
def _hear(name, arguments):
    if name == "nas.open_test_part":
        with open(os.environ["NAS_TEST_OPENINGS"], "a") as file:
            file.write(f"{os.getpid()} {time.time_ns()}\\n")
sys.addaudithook(_hear)
"""
"""Runs at the start of every Python process of the server, workers included, and hears each reading."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with two data sets that differ in nothing but the images of their test parts."""
    folder = tmp_path_factory.mktemp("held-out")
    (folder / "listener").mkdir()
    (folder / "listener" / "sitecustomize.py").write_text(LISTENER)
    for name in ("mnist", "fashion-mnist"):
        write_idx_set(folder / "root" / name, train_per_class=12, test_per_class=2)
    noise = np.random.default_rng(1).integers(0, 256, (20, 28, 28), np.uint8)
    (folder / "root" / "fashion-mnist" / TEST_IMAGES).write_bytes(idx_bytes(noise))
    environment = {
        "PYTHONPATH": os.pathsep.join((str(folder / "listener"), os.environ.get("PYTHONPATH", ""))),
        "NAS_TEST_OPENINGS": str(folder / "openings"),
    }
    with RealServer(folder, ("--data-root", str(folder / "root")), environment) as real:
        yield real


def _openings(folder: Path) -> list[tuple[int, int]]:
    path = folder / "openings"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(moment)) for pid, moment in (line.split() for line in lines)]


def _of(events: list[dict[str, Any]], fact: str) -> list[dict[str, Any]]:
    return [event[fact] for event in events if fact in event]


def _nanoseconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp() * 1e9


def _without_clocks(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**epoch, "result": {k: v for k, v in epoch["result"].items() if k not in ("seconds", "images_per_second")}}
        for epoch in epochs
    ]


@pytest.fixture(scope="module")
def runs(server: RealServer) -> list[list[dict[str, Any]]]:
    """The events of one search on each data set; each has read its test part once."""
    found = []
    for dataset in ("mnist", "fashion-mnist"):
        before = len(_openings(server.folder))
        events = server.watch(server.start_search("--dataset", dataset, *ONE))
        (opened,) = _openings(server.folder)[before:]
        (stopped,) = (event for event in events if "stopping_criterion_met" in event)
        assert _nanoseconds(stopped) <= opened[1] <= _nanoseconds(events[-1])
        found.append(events)
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("held-out")
def test_the_test_part_changes_nothing_before_it_is_read(runs: list[list[dict[str, Any]]]) -> None:
    """With other test images everything comes out the same but the last reading, of winner and smallest."""
    first, second = runs

    for fact in ("child_proposed", "child_succeeded", "children_selected", "stopping_criterion_met"):
        assert _of(first, fact) == _of(second, fact)
    assert 8 == len(_of(first, "epoch_completed"))
    assert _without_clocks(_of(first, "epoch_completed")) == _without_clocks(_of(second, "epoch_completed"))
    assert 2 == len({child["child_id"] for child in _tested(first)})
    assert _tested(first) != _tested(second)


@pytest.mark.slow
@pytest.mark.xdist_group("held-out")
def test_the_report_goes_home_with_the_model(
    server: RealServer, runs: list[list[dict[str, Any]]], tmp_path: Path
) -> None:
    """``get`` prints the figures of winner and smallest; ``export`` writes each into its metrics.json."""
    search_id = runs[0][0]["search_id"]

    shown = server.client("get", search_id)
    exported = [
        server.client("export", search_id, "--to", str(tmp_path / name), *options)
        for name, options in (("winner", ()), ("smallest", ("--smallest",)))
    ]
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("winner", "smallest")]

    assert [0, 0, 0] == [answer.returncode for answer in (shown, *exported)], shown.stderr
    for role, tested, found in zip(("winner", "smallest"), _tested(runs[0]), metrics, strict=True):
        assert f"Child {tested['child_id']} ({role}) on the test part: 20 images;" in shown.stdout
        assert tested["assessment"]["accuracy"] == found["assessment"]["accuracy"]
        assert [10, 10] == [len(found["assessment"][rows]) for rows in ("classes", "confusion")]
        assert 0.1 == found["assessment"]["baseline"]["accuracy"]


def _tested(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Winner and rivals as the last reading found them."""
    (evaluated,) = _of(events, "winner_evaluated")
    winner = {key: evaluated[key] for key in ("child_id", "evaluation", "assessment")}
    return [winner, *evaluated["others"]]
