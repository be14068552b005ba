# SPDX-License-Identifier: Apache-2.0
"""The product as its user meets it: a real server, the real client, real training, real data."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from real_server import RealServer, fact_of, wait_for_fact

TINY_NET = "C(8,3) P(2,2) IB(8,4,8,4,4,4) P(2,2) F() FC(10)"
TINY = (
    *("--dataset", "digits", "--block", "ib", "--seed", "5", "--max-iterations", "1", "--max-epochs", "2"),
    *("--train-limit", "120", "--threads", "1", "--initial", TINY_NET),
)
FAKE = ("--dataset", "digits", "--block", "seib", "--seed", "5", "--max-iterations", "2", "--max-epochs", "3")


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server whose training only takes time."""
    folder = tmp_path_factory.mktemp("fake")
    environment = {"NAS_FAKE_EPOCH_SECONDS": "0.02"}
    with RealServer(folder, ("--executor", "fake"), environment) as server:
        yield server


@pytest.mark.slow
def test_a_search_ends_with_a_trained_net(tmp_path: Path) -> None:
    """A search with the real trainer ends with weights on disk whose SHA-256 the journal knows, and a test accuracy."""
    with RealServer(tmp_path) as server:
        started = server.client("--output", "jsonl", "start", *TINY, timeout=100)
        events = [json.loads(line) for line in started.stdout.splitlines()]
        search = server.search(events[0]["search_id"])
        winner = search["incumbent"]
        weights = server.state_dir / "searches" / search["search_id"] / "weights" / f"{winner['child_id']}.safetensors"

        assert 0 == started.returncode, started.stderr
        assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]
        assert 4 == sum("child_succeeded" in event for event in events)
        assert 1 == sum("winner_evaluated" in event for event in events)
        assert "STATE_SUCCEEDED" == search["state"]
        assert winner["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert 180 == sum(map(int, search["test_evaluation"]["total_counts"]))
        assert 0 == server.stop()


def test_the_best_nets_are_finished(tmp_path: Path) -> None:
    """With worker processes: planned, trained for five times as long, shown, tested, and exported as the winner."""
    search = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "2", "--finish", "full")
    options = ("--trainer", "simulated", "--workers", "2")
    with RealServer(tmp_path, options, {"NAS_FAKE_EPOCH_SECONDS": "0"}) as server:
        planned = server.client("plan", *search)
        search_id = server.start_search(*search)
        facts = [fact_of(event) for event in server.watch(search_id)]
        shown = server.client("get", search_id)
        exported = server.client("export", search_id, "--to", str(tmp_path / "model"))
        found = server.search(search_id)

        assert "at most 2 nets, 10 epochs each" in planned.stdout
        assert 1 == facts.count("finishing_started") == facts.count("finishing_completed")
        assert 4 * 2 + 2 * 10 == facts.count("epoch_completed")
        assert ["2-1", "2-2"] == found["finishing_ids"]
        assert found["incumbent"]["child_id"] in found["finishing_ids"]
        assert {net["child_id"] for net in found["assessed"]} <= {*found["finishing_ids"]}
        assert "2-1 and 2-2, 10 epochs each" in shown.stdout
        assert 0 == exported.returncode, exported.stderr
        assert 0 == server.stop()


def test_the_client_may_leave(fake: RealServer) -> None:
    """Killing the client leaves the search running, and a later watch shows every event from the first."""
    client = fake.client_process("--output", "jsonl", "start", *FAKE)
    assert client.stdout is not None
    search_id = json.loads(client.stdout.readline())["search_id"]

    client.kill()
    client.communicate()
    events = fake.watch(search_id)

    assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]
    assert "search_succeeded" == fact_of(events[-1])


def test_interrupting_the_client_detaches(fake: RealServer) -> None:
    """Ctrl-C ends the client with 130, says how to come back, and the search goes on."""
    client = fake.client_process("start", *FAKE, "--max-epochs", "100")
    assert client.stdout is not None
    client.stdout.readline()

    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=60)

    assert 130 == client.returncode
    assert "nas-client" in said
    (search_id,) = re.findall(r"watch ([0-9a-f]{12})", said)
    assert "STATE_RUNNING" == fake.search(search_id)["state"]
    assert 0 == fake.client("cancel", search_id).returncode


def test_watch_survives_a_restart(tmp_path: Path) -> None:
    """A watch goes on across a kill of the server: every event once, in order, to the last."""
    options, environment = ("--executor", "fake"), {"NAS_FAKE_EPOCH_SECONDS": "1"}
    with RealServer(tmp_path, options, environment) as server:
        port = server.address.rpartition(":")[2]
        search_id = server.start_search(*FAKE)
        watch = server.client_process("--output", "jsonl", "watch", search_id)
        assert watch.stdout is not None
        first = watch.stdout.readline()  # a server that was never there is not waited for
        server.wait_for_sequence(search_id, 12)

        server.kill()
        server.options = (*options, "--listen", f"127.0.0.1:{port}")
        server.environment = {"NAS_FAKE_EPOCH_SECONDS": "0"}
        server.start()
        lines = watch.stdout.read()  # communicate would pass over what came together with the first line
        _, said = watch.communicate(timeout=60)
        sequences = [int(json.loads(line)["sequence"]) for line in (first + lines).splitlines()]

        assert 0 == watch.returncode, said
        assert list(range(1, len(sequences) + 1)) == sequences


def test_cancel_frees_the_worker(tmp_path: Path) -> None:
    """A cancelled search ends soon although its worker is busy, and the next search gets the worker."""
    with RealServer(tmp_path, ("--trainer", "simulated"), {"NAS_FAKE_EPOCH_SECONDS": "60"}) as server:
        search_id = server.start_search(*FAKE)
        wait_for_fact(server, search_id, "attempt_started")

        cancelled = server.client("cancel", search_id)
        events = [
            json.loads(line) for line in server.client("--output", "jsonl", "watch", search_id).stdout.splitlines()
        ]
        again = server.start_search(*FAKE)

        assert 0 == cancelled.returncode, cancelled.stderr
        assert "search_cancelled" == fact_of(events[-1])
        (request,) = [event for event in events if "cancel_requested" in event]
        asked, over = (datetime.fromisoformat(event["time"]) for event in (request, events[-1]))
        assert over - asked < timedelta(seconds=10)
        wait_for_fact(server, again, "attempt_started")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("start", "--dataset", "minst", "--block", "ib"), 2, "there is no data set 'minst'"),
        (("start", "--dataset", "mnist", "--block", "ib"), 2, "--data-root"),
        (("start", "--dataset", "digits", "--block", "vgg"), 2, "'vgg' is not one of"),
        (("start", "--dataset", "digits", "--block", "ib", "--bloch", "1"), 2, "No such option"),
        (("start", "--dataset", "digits", "--block", "ib", "--initial", "C(64,3) F( FC(10)"), 2, "character 12"),
        (("start", "--dataset", "digits", "--block", "ib", "--initial", "C(9,29) F() FC(10)"), 2, "layer 1"),
        (("start", "--dataset", "digits", "--block", "ib", "--initial", "C(9,3) F() FC(9)"), 2, "10 classes"),
        (("start", "--dataset", "digits", "--block", "ib", "--max-epochs", "0"), 2, "max_epochs"),
        (("start", "--dataset", "digits", "--block", "ib", "--train-limit", "3"), 2, "digits"),
        (("start", "--dataset", "digits", "--block", "ib", "--request-id", "7"), 2, "UUID"),
        (("get", "0123456789ab"), 3, "there is no search 0123456789ab"),
        (("get", "../../etc"), 2, "no search id"),
        (("watch", "0123456789ab"), 3, "there is no search"),
        (("cancel", "0123456789ab"), 3, "there is no search"),
    ],
)
def test_bad_input(tmp_path: Path, fake: RealServer, arguments: tuple[str, ...], status: int, sentence: str) -> None:
    """Bad input gets one sentence and the documented exit code, and leaves no search behind."""
    before = fake.client("--output", "json", "list").stdout

    refused = fake.client(*arguments)

    assert status == refused.returncode, refused.stderr
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert str(tmp_path.parent) not in refused.stderr
    assert "" == refused.stdout
    assert _ids(before) == _ids(fake.client("--output", "json", "list").stdout)


def test_a_request_id_stands_for_one_payload(fake: RealServer) -> None:
    """The same request id gives the same search; with another payload it is refused."""
    request = ("--request-id", "7b0ad4e2-25f7-4a76-8fd0-3a1d67f6a5b1")
    first = fake.start_search(*FAKE, *request)

    second = fake.start_search(*FAKE, *request)
    other = fake.client("start", *FAKE, "--max-epochs", "5", *request, "--detach")

    assert first == second
    assert 2 == other.returncode
    assert first in other.stderr


def test_no_server(fake: RealServer) -> None:
    """Without a server the client says what to start, with exit code 5."""
    refused = fake.client("--server", "127.0.0.1:1", "list")

    assert 5 == refused.returncode
    assert "nas-server serve" in refused.stderr


def _ids(listing: str) -> list[str]:
    return [search["search_id"] for search in json.loads(listing)["searches"]]
