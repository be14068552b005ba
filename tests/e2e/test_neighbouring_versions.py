# SPDX-License-Identifier: Apache-2.0
"""Client and server of neighbouring minor versions: the schema of the last release, and one of the next."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from real_server import RealServer
from schema_proxy import SchemaProxy
from schemas import UNKNOWN, Schema, fill, newer, released
from terminal import Terminal

from client.__main__ import run
from client.versions import client_version

SEARCH = ("--dataset", "digits", "--block", "seib", "--max-iterations", "1", "--max-epochs", "2", "--seed", "4")
TERMINAL = ("search_succeeded", "search_failed", "search_cancelled")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server of today with worker processes whose training only takes time."""
    folder = tmp_path_factory.mktemp("neighbours")
    with RealServer(folder, ("--trainer", "simulated"), {"NAS_FAKE_EPOCH_SECONDS": "0"}) as running:
        yield running


@pytest.fixture(scope="module")
def ended(server: RealServer) -> str:
    """A search that has ended."""
    search_id = server.start_search(*SEARCH)
    server.watch(search_id)
    return search_id


class OldClient:
    """Calls a server with the messages of a schema only.

    Attributes:
        called: methods that have answered.
    """

    def __init__(self, channel: Any, schema: Schema) -> None:
        self.called: set[str] = set()
        self._channel = channel
        self._schema = schema

    def call(self, method: str, **fields: Any) -> Any:
        """Return the answer of a unary method."""
        path, request, answer = self._prepare(method, fields)
        found = self._channel.unary_unary(path)(request, timeout=60)
        self.called.add(method)
        return answer.FromString(found)

    def stream(self, method: str, **fields: Any) -> list[Any]:
        """Return all answers of a streaming method."""
        path, request, answer = self._prepare(method, fields)
        found = [answer.FromString(each) for each in self._channel.unary_stream(path)(request, timeout=60)]
        self.called.add(method)
        return found

    def _prepare(self, method: str, fields: dict[str, Any]) -> tuple[str, bytes, Any]:
        request = self._schema.message(f"{method}Request")(**fields)
        path = f"/{self._schema.service.full_name}/{method}"
        return path, request.SerializeToString(), self._schema.message(f"{method}Response")


def test_a_client_of_the_last_release(server: RealServer) -> None:
    """It calls every method that it knows, and understands every answer and every event."""
    schema = released()
    config = {
        "preset": "PRESET_PAPER",
        "dataset": "digits",
        "block": "BLOCK_TYPE_INCEPTION",
        "max_iterations": 1,
        "training": {"max_epochs": 2},
    }
    with grpc.insecure_channel(server.address) as channel:
        old = OldClient(channel, schema)
        assert client_version() == old.call("GetServerInfo").version
        assert "digits" in [dataset.name for dataset in old.call("ListDatasets").datasets]
        assert 5 == len(old.call("StartSearch", config=config, validate_only=True).plan.children)
        long = {**config, "max_iterations": 30}  # has the worker until it is cancelled
        another = old.call("StartSearch", config=long, request_id=str(uuid.uuid4())).search.search_id
        search_id = old.call("StartSearch", config=config, request_id=str(uuid.uuid4())).search.search_id
        assert old.call("PauseSearch", search_id=search_id).search.state in (6, 7)  # PAUSING, PAUSED
        assert 1 == old.call("ResumeSearch", search_id=search_id).search.state  # RUNNING
        assert old.call("CancelSearch", search_id=another).search.state in (2, 5)  # CANCELLING, CANCELLED
        events = [item.event for item in old.stream("WatchSearch", search_id=search_id) if item.HasField("event")]
        search = old.call("GetSearch", search_id=search_id).search
        children = old.call("ListChildren", search_id=search_id).children
        child = old.call("GetChild", search_id=search_id, child_id="1-1").child
        log = b"".join(item.chunk for item in old.stream("ReadLog", search_id=search_id, child_id="1-1"))
        description, *chunks = old.stream("ExportModel", search_id=search_id)
        weights = b"".join(item.chunk for item in chunks)
        assert search_id in [found.search_id for found in old.call("ListSearches").searches]
        old.call("DeleteSearch", search_id=search_id)

    assert {method.name for method in schema.service.methods} == old.called
    assert list(range(1, len(events) + 1)) == [event.sequence for event in events]
    assert "search_succeeded" == events[-1].WhichOneof("fact")
    assert all(event.WhichOneof("fact") for event in events)
    assert (3, 64) == (search.state, len(search.digest))
    assert 5 == len(children)
    assert 2 == len(child.epochs)
    assert child.evaluation.total_counts
    assert b"Traceback" not in log
    assert hashlib.sha256(weights).hexdigest() == description.description.child.weights_sha256


def test_a_client_of_the_last_release_watches_finishing(server: RealServer) -> None:
    """It passes over the events that it does not know, and gets the children and the end."""
    search_id = server.start_search(*SEARCH, "--finish", "short")
    with grpc.insecure_channel(server.address) as channel:
        old = OldClient(channel, released())
        events = [item.event for item in old.stream("WatchSearch", search_id=search_id) if item.HasField("event")]
        children = old.call("ListChildren", search_id=search_id).children

    facts = [event.WhichOneof("fact") for event in events]
    assert list(range(1, len(events) + 1)) == [event.sequence for event in events]
    assert 2 == facts.count(None)
    assert "search_succeeded" == facts[-1]
    assert {"2-1"} <= {child.child_id for child in children if child.state == 3}  # SUCCEEDED


@contextmanager
def older(
    server: RealServer, *, without: tuple[str, ...] = (), lacking: tuple[str, str] = ("", "")
) -> Iterator[SchemaProxy]:
    """A server of an earlier version: what that does not know is dropped from requests and from answers."""

    def edit(method: str, response: Any) -> list[Any]:
        if method == "GetServerInfo":
            response.version = "0.0.9"
        return [response]

    with SchemaProxy(server.address, released(without=lacking), without=without, edit=edit) as proxy:
        yield proxy


VERBS: tuple[tuple[str, ...], ...] = (
    ("version",),
    ("list",),
    ("get", "{ended}"),
    ("children", "{ended}"),
    ("children", "{ended}", "1-1"),
    ("watch", "{ended}"),
    ("plan", *SEARCH),
    ("start", *SEARCH),
    ("datasets", "list"),
    ("datasets", "info", "digits"),
    ("export", "{ended}", "--to", "{folder}/model"),
)


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_server_of_the_last_release(
    server: RealServer,
    ended: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    output: str,
) -> None:
    """Every verb of today works with it."""
    typed = [word.format(ended=ended, folder=tmp_path) for word in words]
    with older(server) as proxy:
        status = run(["--server", proxy.address, "--output", output, *typed])

    out, err = capsys.readouterr()
    assert 0 == status, err
    assert out
    if output == "json":
        json.loads(out)
    elif output == "jsonl":
        assert all(json.loads(line) for line in out.splitlines())


def test_verbs_that_change_a_search_of_the_last_release(server: RealServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Pause, resume, logs, cancel and delete work with it, too."""
    with older(server) as proxy:
        assert 0 == run(["--server", proxy.address, "start", *SEARCH, "--max-iterations", "30", "--detach"])
        search_id = capsys.readouterr().out.strip()
        for verb in ("pause", "resume", "cancel", "watch", "delete"):
            more = ["--yes"] if verb == "delete" else []
            expected = 4 if verb == "watch" else 0  # it was cancelled
            assert expected == run(["--server", proxy.address, verb, search_id, *more]), capsys.readouterr().err
        assert 3 == run(["--server", proxy.address, "get", search_id])
        assert f"there is no search {search_id}" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "verb"), [("PauseSearch", "pause"), ("ExportModel", "export")])
def test_what_an_older_server_cannot_do(
    server: RealServer, ended: str, capsys: pytest.CaptureFixture[str], method: str, verb: str
) -> None:
    """A method that it lacks is one sentence: which version it is, which this is, and what helps."""
    with older(server, without=(method,)) as proxy:
        status = run(["--server", proxy.address, verb, ended])

    assert 1 == status
    assert (
        f"Error: The server at {proxy.address} is version 0.0.9 and cannot do this; this client is version "
        f"{client_version()}: upgrade the server.\n"
    ) == capsys.readouterr().err


@pytest.mark.parametrize("verb", ["start", "plan"])
@pytest.mark.parametrize(
    ("lacking", "option"),
    [
        (("SearchConfig", "max_iterations"), "--max-iterations"),
        (("TrainingConfig", "max_epochs"), "--max-epochs"),
    ],
)
def test_a_setting_that_an_older_server_lacks(
    server: RealServer, capsys: pytest.CaptureFixture[str], lacking: tuple[str, str], option: str, verb: str
) -> None:
    """It would be passed over in silence; instead nothing is started, and the option is named."""
    with older(server, lacking=lacking) as proxy:
        status = run(["--server", proxy.address, verb, *SEARCH])
        started = [request for request in proxy.requests if getattr(request, "request_id", "")]

    assert (2, []) == (status, started)
    assert f"is older than this client and does not know {option}; upgrade the server" in capsys.readouterr().err


def of_tomorrow(method: str, response: Any) -> list[Any]:
    """Put something unknown wherever there is room: values in enums, fields, a fact, a kind of answer."""
    if method == "WatchSearch":
        return _watched_tomorrow(response)
    fill(response)
    if method == "ExportModel":
        return [response, type(response)(of_tomorrow="news")]
    response.of_tomorrow = "news"
    return [response]


def _watched_tomorrow(response: Any) -> list[Any]:
    event = response.event
    name = event.WhichOneof("fact")
    if name in ("iteration_started", "attempt_launched"):
        event.of_tomorrow = "news"  # takes the place of the fact
    elif name and name not in TERMINAL:
        fill(event)
        getattr(event, name).of_tomorrow = "news"
    return [response, type(response)(of_tomorrow="news")]


@pytest.fixture
def tomorrow(server: RealServer) -> Iterator[SchemaProxy]:
    """A server of the next version."""
    with SchemaProxy(server.address, newer(), edit=of_tomorrow) as proxy:
        yield proxy


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
@pytest.mark.parametrize("words", [words for words in VERBS if words[0] not in ("watch", "start")], ids=" ".join)
def test_a_server_of_the_next_version(
    ended: str,
    tomorrow: SchemaProxy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    output: str,
) -> None:
    """Unknown fields and values are no obstacle; in text a value stands there as its number."""
    typed = [word.format(ended=ended, folder=tmp_path) for word in words]
    status = run(["--server", tomorrow.address, "--output", output, *typed])

    out, err = capsys.readouterr()
    assert 0 == status, err
    if output == "text" and words[0] in ("list", "get", "children"):
        assert f"unknown ({UNKNOWN})" in out


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_watching_a_server_of_the_next_version(
    ended: str, tomorrow: SchemaProxy, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """An unknown fact keeps its place in the sequence; an unknown kind of answer is passed over."""
    status = run(["--server", tomorrow.address, "--output", output, "watch", ended])

    out, err = capsys.readouterr()
    assert (0, "") == (status, err)
    if output == "text":
        assert "is one that this client does not know; a newer nas-client shows it" in out
    elif output == "jsonl":
        events = [json.loads(line) for line in out.splitlines()]
        assert list(range(1, len(events) + 1)) == [int(event["sequence"]) for event in events]


def test_the_live_view_of_a_server_of_the_next_version(ended: str, tomorrow: SchemaProxy) -> None:
    """It shows what it can."""
    with Terminal("--server", tomorrow.address, "watch", ended, columns=160, lines=40) as terminal:
        status = terminal.finish()

        assert "Traceback" not in terminal.written
        assert "unexpected" not in terminal.text
        assert 0 == status
        assert "is one that this client does not know" in terminal.text
