# SPDX-License-Identifier: Apache-2.0
"""Every verb through the real client against a real server: what it prints for programs, and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer, fact_of, wait_for, wait_for_fact

import client.cli

SEARCH = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "3", "--seed", "4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with one worker whose training only takes time."""
    folder = tmp_path_factory.mktemp("verbs")
    with RealServer(folder, ("--trainer", "simulated"), {"NAS_FAKE_EPOCH_SECONDS": "0.1"}) as running:
        yield running


@pytest.fixture(scope="module")
def ended(server: RealServer) -> str:
    """A search that has ended."""
    search_id = server.start_search(*SEARCH)
    server.watch(search_id)
    return search_id


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def ask(server: RealServer, *arguments: str) -> Any:
    """What a verb prints as JSON."""
    answer = server.client("--output", "json", *arguments)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


VERBS: tuple[tuple[str, ...], ...] = (
    ("start", *SEARCH),
    ("watch", "{ended}"),
    ("list",),
    ("get", "{ended}"),
    ("children", "{ended}"),
    ("ablate", "{ended}"),
    ("crossvalidate", "{ended}", "--folds", "3"),
    ("pause", "{paused}"),
    ("resume", "{paused}"),
    ("cancel", "{paused}"),
    ("delete", "{old}", "--yes"),
    ("export", "{ended}", "--to", "{folder}/model"),
    ("datasets", "list"),
    ("plan", *SEARCH),
    ("arch", "show", "C(2,3) F() FC(2)", "--input", "1x8x8"),
    ("config", "show"),
    ("version",),
)
"""Every verb with arguments, in an order in which each can do what it is for."""
WITHOUT_JSON = {"logs", "completion"}
"""They print what they are given: a log, a script."""
OF_A_CLUSTER = {"submit", "jobs"}
"""They talk to Kubernetes, in tests of their own."""


def test_every_verb_speaks_json(server: RealServer, ended: str, tmp_path: Path) -> None:
    """Each prints one document of an object, through the real client process and the real server."""
    old = server.start_search(*SEARCH)
    server.watch(old)
    paused = server.start_search(*SEARCH, "--max-epochs", "1000")
    server.client("pause", paused)
    wait_for(lambda: "STATE_PAUSED" == server.search(paused)["state"], "the worker to be free")
    for words in VERBS:
        typed = [word.format(ended=ended, old=old, paused=paused, folder=tmp_path) for word in words]
        document = ask(server, *typed)
        assert isinstance(document, dict), words
        assert document, words

    assert {words[0] for words in VERBS} == client.cli.VERBS.keys() - WITHOUT_JSON - OF_A_CLUSTER


def test_a_pause_changes_nothing(tmp_path: Path) -> None:
    """Paused in the middle of a training and over a restart, the search finds what an undisturbed one finds."""
    with RealServer(tmp_path, ("--trainer", "simulated"), {"NAS_FAKE_EPOCH_SECONDS": "2"}) as server:
        search_id = server.start_search(*SEARCH, "--threads", "1")
        wait_for_fact(server, search_id, "epoch_completed")

        assert "STATE_PAUS" in ask(server, "pause", search_id)["state"]
        wait_for(lambda: "STATE_PAUSED" == server.search(search_id)["state"], "the pause")
        paused = server.search(search_id)
        server.kill()
        server.environment["NAS_FAKE_EPOCH_SECONDS"] = "0"
        server.start()
        assert paused["sequence"] == server.search(search_id)["sequence"]
        assert "STATE_PAUSED" == server.search(search_id)["state"]
        assert "STATE_RUNNING" == ask(server, "resume", search_id)["state"]
        events = server.watch(search_id)
        undisturbed = server.start_search(*SEARCH, "--threads", "1")
        server.watch(undisturbed)
        found, expected = (server.search(each)["digest"] for each in (search_id, undisturbed))

    assert ["pause_requested", "search_paused", "search_resumed"] == [
        fact_of(event) for event in events if fact_of(event) in ("pause_requested", "search_paused", "search_resumed")
    ]
    assert expected == found
    lost = [event["attempt_lost"]["reason"] for event in events if "attempt_lost" in event]
    assert set(lost) <= {"LOST_REASON_PREEMPTED"}


def test_a_paused_search_can_be_cancelled(server: RealServer) -> None:
    """Without being resumed first."""
    search_id = server.start_search(*SEARCH, "--max-epochs", "1000")
    server.client("pause", search_id)
    wait_for(lambda: "STATE_PAUSED" == server.search(search_id)["state"], "the pause")

    assert "STATE_CANCELLED" == ask(server, "cancel", search_id)["state"]


def test_export(server: RealServer, ended: str, tmp_path: Path) -> None:
    """The folder has the weights that the journal names, the architecture and the metrics."""
    answer = ask(server, "export", ended, "--to", str(tmp_path / "model"))
    winner = server.search(ended)["incumbent"]
    architecture = json.loads((tmp_path / "model" / "architecture.json").read_text())
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()

    assert winner["child_id"] == answer["child_id"]
    assert winner["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert winner["architecture"]["notation"] == architecture["child"]["architecture"]["notation"]
    assert 3 == len(metrics["child"]["epochs"])
    assert "test_evaluation" in metrics
    assert ["model"] == [path.name for path in tmp_path.iterdir()]


def test_export_of_the_smallest(server: RealServer, ended: str, tmp_path: Path) -> None:
    """It has the fewest parameters of the last selection, and was measured on the test part beside the winner."""
    answer = ask(server, "export", ended, "--smallest", "--to", str(tmp_path / "small"))
    metrics = json.loads((tmp_path / "small" / "metrics.json").read_text())
    smallest = ask(server, "children", ended, answer["child_id"])

    assert server.search(ended)["incumbent"]["child_id"] != answer["child_id"]
    assert "SUCCEEDED" in smallest["state"]
    assert sum(map(int, metrics["test_evaluation"]["total_counts"])) > 0


def test_export_never_overwrites(server: RealServer, ended: str, tmp_path: Path) -> None:
    """A target that exists is refused, and nothing is left half-written."""
    (tmp_path / "mine").mkdir()

    refused = server.client("export", ended, "--to", str(tmp_path / "mine"))

    assert 2 == refused.returncode
    assert "exists already" in refused.stderr
    assert [] == list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        ("file", 2, "exists already; name another folder with --to"),
        ("dangling", 2, "exists already; name another folder with --to"),
        ("file/model", 2, "its folder is not there; make it first, or name another with --to"),
        ("nowhere/model", 2, "its folder is not there; make it first, or name another with --to"),
    ],
)
def test_export_to_where_nothing_can_be(
    server: RealServer, ended: str, tmp_path: Path, target: str, status: int, sentence: str
) -> None:
    """A file, a link and a folder that is not there: one sentence, and nothing is made or changed."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("gone")

    refused = server.client("export", ended, "--to", str(tmp_path / target))

    assert status == refused.returncode, refused.stderr
    assert sentence in refused.stderr
    assert 1 == refused.stderr.count("\n")
    assert ["dangling", "file"] == sorted(path.name for path in tmp_path.iterdir())
    assert "mine" == (tmp_path / "file").read_text()


def test_export_to_a_full_disk(server: RealServer, ended: str, small_disk: Path) -> None:
    """One sentence, and nothing is left that could be taken for a model."""
    (small_disk / "ballast").write_bytes(bytes(60 << 10))

    refused = server.client("export", ended, "--to", str(small_disk / "model"))

    assert (1, f"Error: {small_disk / 'model'} cannot be written: No space left on device.\n") == (
        refused.returncode,
        refused.stderr,
    )
    assert ["ballast"] == [path.name for path in small_disk.iterdir()]


def test_export_beyond_a_limit(server: RealServer, ended: str, tmp_path: Path) -> None:
    """A limit on the size of files is a full disk by another name, and needs no rights to test."""
    command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
    command += server.client_command("export", ended, "--to", str(tmp_path / "model"))

    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (1, f"Error: {tmp_path / 'model'} cannot be written: File too large.\n") == (
        refused.returncode,
        refused.stderr,
    )
    assert [] == list(tmp_path.iterdir())


def test_damaged_weights_are_not_exported(server: RealServer, tmp_path: Path) -> None:
    """A flipped byte is found, and no folder appears."""
    search_id = server.start_search(*SEARCH)
    server.watch(search_id)
    winner = server.search(search_id)["incumbent"]["child_id"]
    path = server.state_dir / "searches" / search_id / "weights" / f"{winner}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    refused = server.client("export", search_id, "--to", str(tmp_path / "model"))

    assert 1 == refused.returncode
    assert "changed" in refused.stderr
    assert [] == list(tmp_path.iterdir())


def test_delete(server: RealServer) -> None:
    """A running search is refused; one that has ended is gone, with its files, and stays gone after a restart."""
    running = server.start_search(*SEARCH, "--max-epochs", "1000")
    refused = server.client("delete", running, "--yes")
    server.client("cancel", running)
    search_id = server.start_search(*SEARCH)
    server.watch(search_id)
    folder = server.state_dir / "searches" / search_id

    deleted = server.client("delete", search_id, "--yes")

    assert (2, 0) == (refused.returncode, deleted.returncode)
    assert "cancel" in refused.stderr
    wait_for(lambda: not folder.exists(), "the files to go")
    server.kill()
    server.start()
    assert 3 == server.client("get", search_id).returncode
    assert search_id not in server.client("--output", "json", "list").stdout


def test_delete_asks(server: RealServer, ended: str) -> None:
    """Without --yes and without an answer nothing is deleted."""
    command = [*server.client_command("delete", ended)]

    refused = subprocess.run(command, input="n\n", capture_output=True, text=True, check=False)

    assert 130 == refused.returncode
    assert 0 == server.client("get", ended).returncode


def test_logs(server: RealServer, ended: str) -> None:
    """A worker that wrote nothing is said to have; an attempt that never was is not found."""
    there = server.client("logs", ended, "1-1")
    missing = server.client("logs", ended, "1-1", "--attempt", "9")

    assert (0, 3) == (there.returncode, missing.returncode)
    assert "attempt 9" in missing.stderr


def test_datasets(server: RealServer) -> None:
    """The catalogue says what is there and what to do about what is not."""
    listed = {dataset["name"]: dataset for dataset in ask(server, "datasets", "list")["datasets"]}
    unknown = server.client("datasets", "info", "minst")

    assert listed["digits"]["is_available"]
    assert "--data-root" in ask(server, "datasets", "info", "mnist")["hint"]
    assert 3 == unknown.returncode
    assert "mnist" in unknown.stderr


def test_config_show(server: RealServer) -> None:
    """Each setting says where it comes from."""
    shown = ask(server, "config", "show")

    assert {"value": server.address, "from": "option"} == shown["server"]
    assert "default" == shown["timeout"]["from"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(server: RealServer, shell: str) -> None:
    """Each shell gets a script that names the program."""
    printed = server.client("completion", shell)

    assert 0 == printed.returncode
    assert "_NAS_CLIENT_COMPLETE" in printed.stdout


def test_ids_are_completed(server: RealServer, ended: str) -> None:
    """What bash would ask for is answered with the search's id."""
    environment = {
        "_NAS_CLIENT_COMPLETE": "bash_complete",
        "COMP_WORDS": f"nas-client get {ended[:3]}",
        "COMP_CWORD": "2",
        "NAS_SERVER": server.address,
    }

    asked = subprocess.run(
        server.client_command()[:3],
        capture_output=True,
        text=True,
        check=False,
        env={**server.inherited, **environment},
    )

    assert f"plain,{ended}" in asked.stdout.splitlines()
