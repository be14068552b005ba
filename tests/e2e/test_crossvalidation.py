# SPDX-License-Identifier: Apache-2.0
"""A net that a search found, tested on every division of its data: real client, server and training."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_files import write_folder, write_image
from local_client import FAKE, Local
from real_server import RealServer
from trained_search import GROUP, PATIENTS, TrainedSearch

IMAGES = (4 * 38 - 1, 4 * 6)
"""Of each of the two classes; the sheet contradicts the folder of one image."""
SIMULATED = ("--block", "ib", "--seed", "3", "--max-iterations", "1", "--max-epochs", "1")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder where a user stands."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def fake(tmp_path: Path, here: Path) -> Iterator[Local]:
    """The client called from there, its server's training taking time only."""
    client = Local(tmp_path / "state", FAKE, here=here)
    yield client
    client.kill()


def _searches(local: Local) -> dict[str, dict[str, Any]]:
    listed = json.loads(local.run("list", "--output", "json").stdout)
    return {search["search_id"]: search for search in listed["searches"]}


def _start(local: Local, dataset: str, *arguments: str) -> str:
    """Run a search to its end; returns its id."""
    ended = local.run("start", "--dataset", dataset, *arguments, "--output", "json", timeout=240)
    assert ended.returncode == 0, ended.stderr
    search_id: str = json.loads(ended.stdout)["search_id"]
    return search_id


def _interrupt(server: RealServer, *arguments: str) -> int:
    """Press Ctrl-C as soon as the first search has been started."""
    client = server.client_process(*arguments)
    assert client.stderr is not None
    assert any(" trains " in line for line in iter(client.stderr.readline, ""))
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=60)
    return client.returncode


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group(GROUP)
def test_every_patient_is_tested_once(trained: TrainedSearch) -> None:
    """Three folds under the conditions of the search; after Ctrl-C and asked again, nothing is started twice."""
    server, search_id = trained.server, trained.search_id
    command = ("crossvalidate", search_id, "--folds", "3")
    before = trained.listed().keys()

    interrupted = _interrupt(server, *command)
    first = server.client(*command, "--output", "json", timeout=240)
    known = trained.listed()
    again, text = server.client(*command, "--output", "json"), server.client(*command)
    refused = server.client("crossvalidate", search_id, "--folds", "7")

    answers = (first, again, text, refused)
    assert [130, 0, 0, 0, 2] == [interrupted, *(answer.returncode for answer in answers)], first.stderr
    assert first.stdout == again.stdout
    assert known.keys() == trained.listed().keys()
    document = json.loads(first.stdout)
    folds = document["folds"]
    assert {fold["search_id"] for fold in folds} == known.keys() - before
    assert [1, 2, 3] == [fold["fold"] for fold in folds]
    _check_conditions(known[search_id], [known[fold["search_id"]] for fold in folds], document)
    assert list(IMAGES) == [sum(int(fold["test_counts"][label]) for fold in folds) for label in (0, 1)]
    assert sum(PATIENTS.values()) == sum(int(fold["test"]["assessment"]["patient_count"]) for fold in folds)
    pooled = document["pooled"]
    assert str(sum(IMAGES)) == pooled["image_count"]
    right = sum(int(count) for fold in folds for count in fold["test"]["evaluation"]["correct_counts"])
    assert str(right) == pooled["correct_count"]
    assert IMAGES[0] / sum(IMAGES) == pytest.approx(pooled["baseline_accuracy"])
    assert "All folds together:" in text.stdout
    assert "replaces no independent test set" in text.stderr
    assert "class 'BI-RADS 4-5' has only 6 of the 7 patients that it needs" in refused.stderr
    assert "at most 6 folds are possible" in refused.stderr


def _check_conditions(search: dict[str, Any], trained: list[dict[str, Any]], document: dict[str, Any]) -> None:
    """The same settings and images as those of the search, on divisions of their own."""
    assert search["incumbent"]["architecture"]["notation"] == document["notation"]
    for fold, one in enumerate(trained, 1):
        changed = {"initial": document["notation"], "max_iterations": 0, "threads": 1, "folds": 3, "fold": fold}
        assert {**search["config"], **changed} == one["config"]
        assert search["dataset"]["fingerprint"] == one["dataset"]["fingerprint"]
        assert "0" == one["dataset"]["patients"]["leak_count"]
    assert 4 == len({one["dataset"]["split_fingerprint"] for one in (search, *trained)})


@pytest.mark.parametrize("verb", [("ablate",), ("crossvalidate", "--folds", "3")], ids=["ablate", "crossvalidate"])
def test_other_images_are_refused_before_anything_is_started(fake: Local, here: Path, verb: tuple[str, ...]) -> None:
    """An image more than the search had is one sentence and exit 2."""
    write_folder(here / "pets", {"cat": 12, "dog": 12})
    search_id = _start(fake, "folder:pets", *SIMULATED)
    write_image(here / "pets" / "cat" / "more.png", 99)

    refused = fake.run(*verb, search_id)

    assert 2 == refused.returncode
    assert f"The data are not those of search {search_id} any more" in refused.stderr
    assert {search_id} == _searches(fake).keys()


def test_a_test_part_of_its_own_is_not_folded(fake: Local, here: Path) -> None:
    """What the publisher has set aside is not learned from: the server's sentence, exit 2, and nothing is started."""
    write_folder(here / "pets", {f"{part}/{name}": 12 for part in ("train", "test") for name in ("cat", "dog")})
    search_id = _start(fake, "folder:pets", *SIMULATED)

    refused = fake.run("crossvalidate", search_id, "--folds", "3")

    assert 2 == refused.returncode
    assert "it has a test part of its own, and folds are for sets without parts" in refused.stderr
    assert {search_id} == _searches(fake).keys()


def test_a_search_that_has_not_what_is_asked_for(fake: Local) -> None:
    """No winner, no smallest child beside it, or a number of folds that nobody can ask for."""
    alone = _start(fake, "digits", *SIMULATED, "--max-iterations", "0")
    running = fake.run("start", "--dataset", "digits", *SIMULATED, "--max-epochs", "9999", "--detach").stdout.strip()
    fake.run("cancel", running)

    unwon = fake.run("crossvalidate", running, "--folds", "3")
    single = fake.run("crossvalidate", alone, "--folds", "3", "--net", "smallest")
    few = fake.run("crossvalidate", alone, "--folds", "2")

    assert [2, 2, 2] == [answer.returncode for answer in (unwon, single, few)]
    assert f"Search {running} has not succeeded, so it has no winner" in unwon.stderr
    assert f"Search {alone} has no smallest child beside its winner; leave out --net." in single.stderr
    assert "2 is not in the range 3<=x<=20" in few.stderr
    assert {alone, running} == _searches(fake).keys()
