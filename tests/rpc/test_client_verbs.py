# SPDX-License-Identifier: Apache-2.0
"""The verbs that ask once: what they send, what they print, and the exit status of every refusal."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import search_records as records
from google.protobuf import json_format
from scripted_service import Open, Refusal, Script, ScriptedServer

from client.__main__ import run
from client.versions import client_version
from nas.api.v1 import search_pb2, search_service_pb2


@pytest.fixture
def script() -> Script:
    """A script of a server with one search."""
    child = records.winner()
    child.architecture.layers.add(
        position=1, notation="C(96,3)", output_shape=[96, 26, 26], param_count=960, flops=1_168_128
    )
    child.epochs.add(epoch=1, training_loss=0.5, validation=records.VALIDATION, seconds=3.25, images_per_second=512)
    cancelling = records.running_search()
    cancelling.state = search_pb2.Search.STATE_CANCELLING
    return Script(
        answers={
            "GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())],
            "GetServerInfo": [records.server_info()],
            "CancelSearch": [search_service_pb2.CancelSearchResponse(search=cancelling)],
            "GetChild": [search_service_pb2.GetChildResponse(child=child)],
        }
    )


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    """A server that plays the script."""
    with ScriptedServer(script) as server:
        yield server


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody else can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def ask(server: ScriptedServer, *arguments: str) -> int:
    """Run one verb in this process."""
    return run(["--server", server.address, *arguments])


def test_get(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``get`` shows settings, progress and the best child, and asks for the id it was given."""
    status = ask(server, "get", records.SEARCH_ID)

    out = capsys.readouterr().out
    assert 0 == status
    assert [search_service_pb2.GetSearchRequest(search_id=records.SEARCH_ID)] == script.requests
    for piece in ("succeeded", "preset paper, seed 7", "2 epochs a child", "4 proposed", records.NOTATION, "(17/20)"):
        assert piece in out


def test_get_as_json(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON the search keeps its original field names, its defaults, and its 64-bit integers as strings."""
    ask(server, "get", records.SEARCH_ID, "--output", "json")

    out = capsys.readouterr().out
    assert records.search() == json_format.Parse(out, search_pb2.Search())
    assert "418018" == json.loads(out)["incumbent"]["architecture"]["param_count"]
    assert 0 == json.loads(out)["failed_count"]


def test_list_turns_pages(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` goes on to the next page until it has enough, and says when there is more."""
    script.answers["ListSearches"] = [
        search_service_pb2.ListSearchesResponse(searches=[records.search()] * 2, next_page_token="b"),
        search_service_pb2.ListSearchesResponse(searches=[records.running_search()], next_page_token="c"),
    ]

    status = ask(server, "list", "--limit", "3")

    out, err = capsys.readouterr()
    requests = script.asked(search_service_pb2.ListSearchesRequest)
    assert 0 == status
    assert [("", 3), ("b", 1)] == [(request.page_token, request.page_size) for request in requests]
    assert 4 == len(out.splitlines())
    assert "There are more than 3" in err
    assert max(len(line) for line in out.splitlines()) <= 80


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_list_as_json(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], output: str) -> None:
    """As JSON the list is one document; as jsonl it is a search a line."""
    page = search_service_pb2.ListSearchesResponse(searches=[records.search(), records.running_search()])
    script.answers["ListSearches"] = [page]

    ask(server, "list", "--output", output)

    out = capsys.readouterr().out
    if output == "json":
        assert page == json_format.Parse(out, search_service_pb2.ListSearchesResponse())
    else:
        assert list(page.searches) == [json_format.Parse(line, search_pb2.Search()) for line in out.splitlines()]


@pytest.mark.parametrize(("verb", "method"), [("list", "ListSearches"), ("children", "ListChildren")])
def test_an_empty_list_is_no_error(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], verb: str, method: str
) -> None:
    """With nothing to show, standard output stays empty and standard error says so."""
    script.answers["ListSearches"] = [search_service_pb2.ListSearchesResponse()]
    script.answers["ListChildren"] = [search_service_pb2.ListChildrenResponse()]

    status = ask(server, verb, *([records.SEARCH_ID] if verb == "children" else []))

    out, err = capsys.readouterr()
    assert (0, "") == (status, out)
    assert "yet" in err


def test_children(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``children`` shows all pages, a child a line."""
    script.answers["ListChildren"] = [
        search_service_pb2.ListChildrenResponse(children=[records.initial_model()], next_page_token="b"),
        search_service_pb2.ListChildrenResponse(children=[records.winner()]),
    ]

    status = ask(server, "children", records.SEARCH_ID)

    lines = capsys.readouterr().out.splitlines()
    assert (0, ["CHILD", "0-1", "1-3"]) == (status, [line.split()[0] for line in lines])
    assert "widen(1, by=32) of 0-1" in lines[2]
    assert ["", "b"] == [request.page_token for request in script.asked(search_service_pb2.ListChildrenRequest)]


def test_one_child(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """With a child's id its layers and epochs are shown."""
    status = ask(server, "children", records.SEARCH_ID, "1-3")

    out = capsys.readouterr().out
    assert 0 == status
    assert [search_service_pb2.GetChildRequest(search_id=records.SEARCH_ID, child_id="1-3")] == script.requests
    for piece in ("96x26x26", "418018 parameters", "0.5000", "512", "2, 1 lost", "cpu, fp32, 1 thread (avx2)"):
        assert piece in out


def test_cancel(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``cancel`` prints the state after the request."""
    status = ask(server, "cancel", records.SEARCH_ID)

    assert (0, f"{records.SEARCH_ID} cancelling\n") == (status, capsys.readouterr().out)
    assert [search_service_pb2.CancelSearchRequest(search_id=records.SEARCH_ID)] == script.requests


def test_version_with_a_server(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``version`` names both sides."""
    status = ask(server, "version", "--output", "json")

    document = json.loads(capsys.readouterr().out)
    assert 0 == status
    assert "nas.api.v1" == document["api"]
    expected = {"version": client_version(), "api": "nas.api.v1", "executor": "local", "worker_count": 1}
    assert expected == document["server"]


def test_version_without_a_server(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is not there is said on standard error and is no failure."""
    status = run(["--server", nobody, "version"])

    out, err = capsys.readouterr()
    assert 0 == status
    assert out.startswith("client ")
    assert "No server answers" in err


def test_unix_socket(script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server on a unix socket is reached by its path."""
    with ScriptedServer(script, listen=f"unix:{tmp_path}/socket") as server:
        status = ask(server, "get", records.SEARCH_ID)

    assert 0 == status
    assert records.SEARCH_ID in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SEARCH_ID", 2),
        (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_AHEAD", 2),
        (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", 2),
        (grpc.StatusCode.FAILED_PRECONDITION, "SEARCH_ENDED", 2),
        (grpc.StatusCode.NOT_FOUND, "SEARCH_NOT_FOUND", 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL", 5),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", 5),
        (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED", 6),
        (grpc.StatusCode.UNAUTHENTICATED, "NO_TOKEN", 6),
        (grpc.StatusCode.INTERNAL, "INTERNAL", 1),
    ],
)
def test_refusals(
    script: Script,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    code: grpc.StatusCode,
    reason: str,
    expected: int,
) -> None:
    """The server's own sentence is printed as it is, and its status decides the exit status."""
    script.answers["GetSearch"] = [Refusal(code=code, message="one clear sentence", reason=reason)]

    status = ask(server, "get", records.SEARCH_ID)

    assert (expected, ("", "Error: one clear sentence\n")) == (status, capsys.readouterr())


@pytest.mark.parametrize("domain", ["", "else"])
def test_a_stranger_s_refusal_is_put_in_words(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], domain: str
) -> None:
    """An error that is not the server's own says who answered and what, on one line, without control characters."""
    reason = "SOMETHING" if domain else ""
    script.answers["GetSearch"] = [
        Refusal(code=grpc.StatusCode.DATA_LOSS, message="\x1b[31mlost", reason=reason, domain=domain)
    ]

    status = ask(server, "get", records.SEARCH_ID)

    expected = f"Error: The server at {server.address} answered DATA_LOSS: \\x1b[31mlost\n"
    assert (1, expected) == (status, capsys.readouterr().err)


def test_unavailable_is_tried_again(script: Script, server: ScriptedServer) -> None:
    """A server that is unavailable for a moment is asked again."""
    answer = search_service_pb2.GetSearchResponse(search=records.search())
    script.answers["GetSearch"] = [Refusal(code=grpc.StatusCode.UNAVAILABLE), answer]

    status = ask(server, "get", records.SEARCH_ID)

    assert (0, 2) == (status, len(script.requests))


def test_a_call_has_a_deadline(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that never answers costs ``--timeout`` and gives 5."""
    script.answers["GetSearch"] = [Open()]

    status = ask(server, "--timeout", "0.2", "get", records.SEARCH_ID)

    assert 5 == status
    assert "did not answer within 0.2 s" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [("get", "x"), ("start", "--dataset", "mnist", "--block", "ib"), ("watch", "x")])
def test_nobody_there(nobody: str, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]) -> None:
    """Without a server one sentence names the address and how to start one."""
    status = run(["--server", nobody, *verb])

    where = "start one with `nas-server serve`, name another with --server, or use --local."
    expected = f"Error: No server answers at {nobody}; {where}\n"
    assert (5, expected) == (status, capsys.readouterr().err)


def test_waiting_for_data_is_talked_about(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server reads data the client says how far it is, on standard error, and no line twice."""
    monkeypatch.setattr("client.connection._PROGRESS_SECONDS", 0.2)
    script.answers["StartSearch"] = [Open()]
    script.answers["GetPreparation"] = [
        search_service_pb2.GetPreparationResponse(dataset="kau", done_count=1200, total_count=5662)
    ]

    status = ask(server, "--timeout", "2", "plan", "--dataset", "kau", "--block", "ib")

    out, err = capsys.readouterr()
    assert (5, "") == (status, out)
    assert 1 == err.splitlines().count("Reading kau: 1,200 of 5,662 files.")


LEAK = search_service_pb2.Finding(
    level=search_service_pb2.Finding.LEVEL_FAULT,
    kind=search_service_pb2.Finding.KIND_LEAK,
    sentence="patients with images in more than one part",
    count=12,
    names=["BC1: in train and test"],
)


def test_a_check_sends_what_it_was_told(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every option reaches the server, and faults end with status 2."""
    script.answers["CheckDataset"] = [search_service_pb2.CheckDatasetResponse(dataset="kau:x", findings=[LEAK])]

    status = ask(
        server,
        *("datasets", "check", "x", "--as", "kau", "--class-map", "1=a,4=b", "--fit", "crop"),
        *("--group-regex", "BC", "--input-size", "32", "--seed", "7", "--names", "1"),
    )

    (request,) = script.asked(search_service_pb2.CheckDatasetRequest)
    told = (request.kind, request.path, request.class_map, request.fit, request.group_regex)
    out = capsys.readouterr().out
    assert (2, ("kau", "x", "1=a,4=b", "crop", "BC")) == (status, told)
    assert (32, 7, 1) == (request.input_size, request.seed, request.max_names)
    assert "FAULT leak (12): patients with images in more than one part" in out
    assert "... and 11 more; --names 12 lists all" in out
