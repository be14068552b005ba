# SPDX-License-Identifier: Apache-2.0
"""One's own images with ``--local``: a path means what it means to the shell, and nobody has to set a data root."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from idx_files import write_idx_set
from image_files import write_folder
from local_client import FAKE, Local
from real_server import RealServer

TINY = ("--initial", "C(4,3) P(4,4) IB(4,2,4,2,2,2) P(2,2) F() FC(2)", "--input-size", "16")
ONE = ("--block", "ib", "--max-iterations", "1", "--max-epochs", "1", "--threads", "1", "--seed", "3", *TINY)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with images in it, where a user stands."""
    write_folder(tmp_path / "here" / "images", {"cat": 12, "dog": 12})
    return tmp_path / "here"


@pytest.fixture
def local(tmp_path: Path, here: Path) -> Iterator[Local]:
    """The client called from there, its server's training taking time only."""
    client = Local(tmp_path / "state", FAKE, here=here)
    yield client
    client.kill()


@pytest.mark.slow
def test_images_of_this_folder_end_with_a_result(tmp_path: Path, here: Path) -> None:
    """A relative path and real training; the server is killed and its cache is lost: the next one reads them again."""
    local = Local(tmp_path / "state", here=here)
    try:
        watch = local.spawn("--output", "jsonl", "start", "--dataset", "folder:./images", *ONE)
        assert watch.stdout is not None
        assert any('"attempt_started"' in line for line in iter(watch.stdout.readline, ""))
        local.kill()
        watch.kill()
        watch.communicate()
        shutil.rmtree(local.state_dir / "cache")
        (search,) = json.loads(local.run("--output", "json", "list").stdout)["searches"]
        ended = local.run("watch", search["search_id"])

        assert 0 == ended.returncode, ended.stderr
        assert "winner  " in ended.stdout
        assert list((local.state_dir / "cache").glob("folder-*"))
    finally:
        local.kill()


@pytest.mark.parametrize(
    "dataset", ["folder:./images", "folder:images", "folder:../here/images/", "folder:{here}/images"]
)
def test_a_path_starts_here(local: Local, here: Path, dataset: str) -> None:
    """Relative paths start at the client's folder, absolute ones are what they are."""
    ended = local.run("--output", "json", "start", "--dataset", dataset.format(here=here), *ONE)

    assert 0 == ended.returncode, ended.stderr
    search = json.loads(ended.stdout)
    assert ["cat", "dog"] == search["dataset"]["class_names"]
    assert search["config"]["dataset"].startswith("folder:/")


def test_home_is_understood(local: Local, here: Path) -> None:
    """A tilde after the colon, which no shell expands."""
    ended = local.run("--output", "json", "start", "--dataset", "folder:~/images", *ONE, HOME=str(here))

    assert 0 == ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("dataset", "status", "sentence"),
    [
        ("folder:./imags", 2, "is read from the folder {here}/imags, which is not there; check the path"),
        ("folder:images/cat", 2, "it has no folder with images; put each class into a folder of its own"),
        ("folder:~nobody-of-that-name/images", 2, "leads nowhere from this folder"),
        ("folder:images/cat/0.png", 2, "is not there"),
        ("mnist", 2, "NAS_DATA_ROOT=DIR"),
    ],
)
def test_bad_paths_are_one_sentence(local: Local, here: Path, dataset: str, status: int, sentence: str) -> None:
    """What was looked for, where, and with the documented exit code."""
    refused = local.run("start", "--dataset", dataset, *ONE)

    assert status == refused.returncode, refused.stderr
    assert sentence.format(here=here) in refused.stderr
    assert 1 == refused.stderr.count("\n")


def test_a_data_root_can_be_named_at_any_time(local: Local, tmp_path: Path) -> None:
    """NAS_DATA_ROOT holds for a server that is running already; without it the last one does."""
    write_idx_set(tmp_path / "root" / "mnist", train_per_class=12)
    command = ("--output", "json", "start", "--dataset", "mnist", "--block", "ib", "--max-iterations", "1")

    refused = local.run(*command)
    (server,) = local.servers()
    accepted = local.run(*command, NAS_DATA_ROOT=str(tmp_path / "root"))
    again = local.run(*command)

    assert [2, 0, 0] == [refused.returncode, accepted.returncode, again.returncode], accepted.stderr
    assert "NAS_DATA_ROOT=DIR, where DIR/mnist holds the files" in refused.stderr
    assert [server] == local.servers()


def test_others_keep_their_data_root(tmp_path: Path, here: Path) -> None:
    """A server that listens on a port stays below its data root, and the refusal names what was typed."""
    with RealServer(tmp_path, ("--executor", "fake", "--data-root", str(tmp_path / "state"))) as server:
        refused = server.client("start", "--dataset", f"folder:{here}/images", "--block", "ib")

    assert 6 == refused.returncode
    assert f"'folder:{here}/images' lies outside the server's data root" in refused.stderr
