# SPDX-License-Identifier: Apache-2.0
"""nas-server run: the batch entry, by its exit status and by what a search finds when the same command runs again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer, wait_for

from server.__main__ import main

SMALL = (
    *("--preset", "paper", "--dataset", "digits", "--block", "ib"),
    *("--max-iterations", "1", "--max-epochs", "2", "--seed", "5"),
)
FAKE = ("--executor", "fake")
QUICK, SLOW = {"NAS_FAKE_EPOCH_SECONDS": "0"}, {"NAS_FAKE_EPOCH_SECONDS": "60"}
DIVERGING = {f"1-{index}": [["nan", 1]] for index in range(1, 5)}


def _run(folder: Path, *options: str, environment: dict[str, str] = QUICK) -> RealServer:
    return RealServer(folder, options, environment, verb="run")


def _to_the_end(server: RealServer) -> int:
    with server:
        return server.wait()


def _said(server: RealServer, event: str) -> list[dict[str, Any]]:
    """The lines of the log that tell of ``event``."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def _search_ids(server: RealServer) -> set[str]:
    return {line["search_id"] for line in _said(server, "run_begun")}


def test_one_folder_is_one_search(tmp_path: Path) -> None:
    """The same command finds its search at the end; other settings are 78, unless with a request id of their own."""
    server = _run(tmp_path, *FAKE, *SMALL)
    assert (0, 0) == (_to_the_end(server), _to_the_end(server))
    first, second = _said(server, "run_begun")
    assert first["search_id"] == second["search_id"]
    assert ("running", "succeeded") == (first["state"], second["state"])
    server.options = (*server.options, "--seed", "6")

    refused = _to_the_end(server)
    server.options = (*server.options, "--request-id", "11111111-2222-3333-4444-555555555555")

    assert (78, 0) == (refused, _to_the_end(server))
    assert (
        "which was started with other settings; give those, or start this search in another state folder" in server.log
    )
    assert "request id" not in server.log  # nobody had given one
    assert 2 == len(_search_ids(server))


def test_a_run_that_is_stopped_goes_on_to_the_same_result(tmp_path: Path) -> None:
    """SIGTERM gives 75, SIGKILL nothing; the digest is that of a search that nobody disturbed."""
    (tmp_path / "calm").mkdir()
    calm, server = _run(tmp_path / "calm", *FAKE, *SMALL), _run(tmp_path, *FAKE, *SMALL, environment=SLOW)
    assert 0 == _to_the_end(calm)
    with server:
        wait_for(lambda: _said(server, "run_begun"), "the search")
        stopped = server.stop()
        server.start()
        server.kill()

    server.environment = QUICK
    resumed = _to_the_end(server)

    (calm_id,), (search_id,) = _search_ids(calm), _search_ids(server)
    assert (75, 0) == (stopped, resumed)
    assert calm.digest(calm_id) == server.digest(search_id)


def test_a_search_that_fails_is_4(tmp_path: Path) -> None:
    """No child of the first iteration has a finite loss, so there is no result; running again changes nothing."""
    environment = {**QUICK, "NAS_SIMULATED_FAULTS": json.dumps(DIVERGING)}
    server = _run(tmp_path, "--trainer", "simulated", "--workers", "2", *SMALL, environment=environment)

    assert (4, 4) == (_to_the_end(server), _to_the_end(server))


def test_the_api_is_served_meanwhile(tmp_path: Path) -> None:
    """A client can look and cancel; the run then ends as the search did."""
    with _run(tmp_path, *FAKE, *SMALL, environment=SLOW) as server:
        search_id = wait_for(lambda: _said(server, "run_begun"), "the search")[0]["search_id"]
        state = server.search(search_id)["state"]
        cancelled = server.client("cancel", search_id)
        status = server.wait()

    assert ("STATE_RUNNING", 0, 4) == (state, cancelled.returncode, status)


def test_a_file_says_what_to_search(tmp_path: Path) -> None:
    """TOML as people write it; an option comes first. With --linger the end can be looked at, until SIGTERM."""
    file = tmp_path / "search.toml"
    file.write_text('dataset = "digits"\nblock = "ib"\nmax_iterations = 7\n[training]\nmax_epochs = 2\n')
    with _run(tmp_path, *FAKE, "--config", str(file), "--max-iterations", "1", "--linger", "600") as server:
        search_id = wait_for(lambda: _said(server, "run_ended"), "the end")[0]["search_id"]
        search = server.search(search_id)

        assert ("STATE_SUCCEEDED", 0) == (search["state"], server.stop())
    assert (1, 2) == (search["config"]["max_iterations"], search["config"]["training"]["max_epochs"])


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--dataset", "digitz", "--block", "ib"), 78, "there is no data set 'digitz'"),
        (("--dataset", "mnist", "--block", "ib"), 65, "--data-root"),
    ],
    ids=["data set", "data root"],
)
def test_what_cannot_be_searched_ends_the_run(
    tmp_path: Path, options: tuple[str, ...], status: int, words: str
) -> None:
    """With the sentence that a client would read, and no search in the journal."""
    server = _run(tmp_path, *FAKE, *options)

    assert status == _to_the_end(server)
    assert words in server.log.splitlines()[-1]
    assert "Traceback" not in server.log


FILES = {
    "neither": "dataset digits",
    "unknown": '{"dataset": "digits", "block": "ib", "colour": "red"}',
    "kind": '{"dataset": "digits", "block": "ib", "seed": "seven"}',
    "true": '{"dataset": "digits", "block": "ib", "seed": true}',
    "table": '{"dataset": "digits", "block": "ib", "training": 3}',
    "word": '{"dataset": "digits", "block": "resnet"}',
    "span": '{"dataset": "digits", "block": "ib", "time_budget": "soon"}',
    "range": '{"dataset": "digits", "block": "ib", "learning_rate": 0}',
    "number": '{"dataset": 5, "block": "ib"}',
    "large": '{"dataset": "digits", "block": "ib", "max_iterations": 99999999999}',
    "binary": "\xff\x00",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used_is_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """One sentence, and nothing is made."""
    file = tmp_path / "search.toml"
    file.write_bytes(FILES[name].encode("latin-1"))

    assert 78 == _exit(monkeypatch, "--state-dir", str(tmp_path / "state"), "--config", str(file))
    assert 1 == capsys.readouterr().err.count("\n")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("", "operations is empty; give some of add-layer, "),
        ("widen,deepen", "operations must be one of add-layer, "),
        ("widen,widen", "operations must name each operation once"),
    ],
)
def test_operations_that_mean_nothing_are_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, names: str, sentence: str
) -> None:
    """One sentence that names the setting."""
    options = ("--dataset", "digits", "--block", "ib", "--operations", names)

    assert 78 == _exit(monkeypatch, "--state-dir", str(tmp_path / "state"), *options)
    assert capsys.readouterr().err.startswith(f"Error: {sentence}")
    assert not (tmp_path / "state").exists()


def test_a_ray_cluster_that_does_not_answer_is_75(tmp_path: Path) -> None:
    """It may be on its way: one sentence, and another try is worth it."""
    pytest.importorskip("ray", reason="needs the extra ray")
    command = [sys.executable, "-m", "server", "run", *SMALL, "--state-dir", str(tmp_path), "--metrics-listen", "off"]

    ended = subprocess.run(
        [*command, "--executor", "ray", "--ray-address", "127.0.0.1:1"], capture_output=True, text=True, check=False
    )

    assert 75 == ended.returncode
    assert "Error: no Ray cluster answers at 127.0.0.1:1" in ended.stderr


@pytest.mark.parametrize("address", ["ray://head:10001", "6379", "head"])
def test_what_is_no_address_of_a_ray_cluster_is_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    """Ray's client protocol is none either: it would outlive a server that is killed."""
    assert 78 == _exit(monkeypatch, *SMALL, "--ray-address", address)

    assert "give HOST:PORT" in capsys.readouterr().err


def test_ray_that_is_not_installed_is_78(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert 78 == _exit(monkeypatch, *SMALL, "--executor", "ray")

    assert "Error: --executor: ray is not installed; pip install 'seib-nas[server,ray]'\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [(), ("--dataset", "digits"), ("--block", "resnet"), ("--linger", "-1"), ("--request-id", "mine"), ("more",)],
    ids=" ".join,
)
def test_usage_errors_of_run_are_64(monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    """What search is missing, too: nothing is started by default."""
    assert 64 == _exit(monkeypatch, *options)


def _exit(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nas-server", "run", *options])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code
