# SPDX-License-Identifier: Apache-2.0
"""The test part of a real search: read once, after the search has stopped, and without any influence before that."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import decode_pixels
from PIL import Image
from trained_search import GROUP, SEED, SIDE, TrainedSearch, train

from nas.config import InputShape
from nas.data import find_by_fingerprint, split
from nas.data.decoding.picture import Limits

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group(GROUP)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two searches on data that differ in nothing but the images of their test parts.

    Attributes:
        labels: of the test images, equal in both.
    """

    first: TrainedSearch
    second: TrainedSearch
    labels: list[int]


@pytest.fixture(scope="module")
def pair(trained: TrainedSearch) -> Pair:
    """The trained search, and one on a copy of its folder in which each test image is noise."""
    server, other = trained.server, trained.data_root / "other"
    fingerprint = server.search(trained.search_id)["dataset"]["fingerprint"]
    dataset = find_by_fingerprint(server.state_dir / "cache", fingerprint)
    assert dataset is not None
    test = split(dataset, seed=SEED).test
    shutil.copytree(trained.data_root / "kau", other)
    files = _files_by_pixels(other)
    noise = np.random.default_rng(1)
    for image_CHW in dataset.images_NCHW[test]:
        Image.fromarray(noise.integers(0, 256, (60, 48), np.uint8)).save(files[image_CHW.tobytes()], quality=90)
    return Pair(first=trained, second=train(server, "kau:other"), labels=dataset.labels_N[test].tolist())


def _files_by_pixels(folder: Path) -> dict[bytes, Path]:
    """Each image of the folder by the pixels that a training sees of it."""
    shape = InputShape(channels=1, height=SIDE, width=SIDE)
    files = [path for path in folder.rglob("*.jpg") if " broken" not in path.name]
    return {decode_pixels(path.read_bytes(), shape, Limits()).tobytes(): path for path in files}


def _of(events: list[dict[str, Any]], fact: str) -> list[dict[str, Any]]:
    return [event[fact] for event in events if fact in event]


def _nanoseconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp() * 1e9


def _without_clocks(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**epoch, "result": {k: v for k, v in epoch["result"].items() if k not in ("seconds", "images_per_second")}}
        for epoch in epochs
    ]


def test_the_test_part_is_read_once_and_last(pair: Pair) -> None:
    """One process reads it, after the search has stopped and before it has ended."""
    for run in (pair.first, pair.second):
        (opened,) = run.openings
        (stopped,) = (event for event in run.events if "stopping_criterion_met" in event)
        assert _nanoseconds(stopped) <= opened <= _nanoseconds(run.events[-1])


def test_the_test_part_changes_nothing_before_it_is_read(pair: Pair) -> None:
    """With other test images everything comes out the same but the last reading, of winner and smallest."""
    first, second = pair.first.events, pair.second.events

    for fact in ("child_proposed", "child_succeeded", "children_selected", "stopping_criterion_met"):
        assert _of(first, fact) == _of(second, fact)
    assert 8 == len(_of(first, "epoch_completed"))
    assert _without_clocks(_of(first, "epoch_completed")) == _without_clocks(_of(second, "epoch_completed"))
    assert 2 == len({child["child_id"] for child in _tested(first)})
    assert all(one != other for one, other in zip(_tested(first), _tested(second), strict=True))


def test_the_report_goes_home_with_the_model(pair: Pair, tmp_path: Path) -> None:
    """``get`` prints the figures of winner and smallest; ``export`` writes each into its metrics.json."""
    server, search_id, labels = pair.first.server, pair.first.search_id, pair.labels
    commonest = max(labels.count(label) for label in labels)

    shown = server.client("get", search_id)
    exported = [
        server.client("export", search_id, "--to", str(tmp_path / name), *options)
        for name, options in (("winner", ()), ("smallest", ("--smallest",)))
    ]
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("winner", "smallest")]

    assert [0, 0, 0] == [answer.returncode for answer in (shown, *exported)], shown.stderr
    for role, tested, found in zip(("winner", "smallest"), _tested(pair.first.events), metrics, strict=True):
        assert f"Child {tested['child_id']} ({role}) on the test part: {len(labels)} images of " in shown.stdout
        assert tested["assessment"]["accuracy"] == found["assessment"]["accuracy"]
        assert [2, 2] == [len(found["assessment"][rows]) for rows in ("classes", "confusion")]
        assert commonest / len(labels) == found["assessment"]["baseline"]["accuracy"]


def _tested(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Winner and rivals as the last reading found them."""
    (evaluated,) = _of(events, "winner_evaluated")
    winner = {key: evaluated[key] for key in ("child_id", "evaluation", "assessment")}
    return [winner, *evaluated["others"]]
