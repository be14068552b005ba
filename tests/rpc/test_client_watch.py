# SPDX-License-Identifier: Apache-2.0
"""Watching over a real wire: complete, in order, across lost connections, and never ending a search by leaving it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import grpc
import pytest
import search_records as records
from google.protobuf import json_format
from scripted_service import Open, Refusal, Script, ScriptedServer

from client.__main__ import run
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

EVENTS = records.events()
LOST = Refusal(code=grpc.StatusCode.UNAVAILABLE)
GOING_DOWN = Refusal(code=grpc.StatusCode.UNAVAILABLE, message="the server shuts down", reason="SHUTTING_DOWN")


@pytest.fixture
def script() -> Script:
    """A script of a search that ended well; tests write the streams."""
    return Script(answers={"GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())]})


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    """A server that plays the script."""
    with ScriptedServer(script) as server:
        yield server


def watch(server: ScriptedServer, *options: str) -> int:
    """Run ``watch`` in this process."""
    return run(["--server", server.address, "watch", records.SEARCH_ID, *options])


def sequences(text: str) -> list[int]:
    """The sequences of the events in jsonl."""
    return [int(json.loads(line)["sequence"]) for line in text.splitlines()]


@pytest.mark.parametrize("output", ["text", "jsonl"])
def test_a_full_disk_is_said_once(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """A search that waits for room says so beside the data, and says so when it goes on."""
    beat = records.heartbeat(2)
    full = records.heartbeat(2)
    full.pause_reason = search_pb2.PAUSE_REASON_DISK_FULL
    script.streams = [[*EVENTS[:2], beat, full, full, *EVENTS[2:]]]

    status = watch(server, "--output", output)

    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if not line.startswith("Warning")]
    assert 0 == status
    assert "disk is full" not in out
    assert [
        "The server's disk is full: the search waits, and goes on by itself when there is room.",
        "The search goes on.",
    ] == said


def test_jsonl_is_the_event(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Every event is printed as its own message: original names, defaults, int64 as strings; no heartbeats."""
    script.streams = [[*EVENTS[:2], records.heartbeat(2), *EVENTS[2:]]]

    status = watch(server, "--output", "jsonl")

    lines = capsys.readouterr().out.splitlines()
    assert 0 == status
    assert EVENTS == [json_format.Parse(line, event_pb2.Event()) for line in lines]
    assert "1" == json.loads(lines[0])["sequence"]
    assert "" == json.loads(lines[0])["search_started"]["principal"]


def test_text_has_a_line_an_event_and_a_summary(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text shows each event on a line, then the winner with its notation, parameters, accuracies and weights."""
    script.streams = [EVENTS]

    status = watch(server)

    out, err = capsys.readouterr()
    assert 0 == status
    assert "0:00:00  search started: ib on mnist" in out.splitlines()[0]
    assert "0:00:26  child 1-3 succeeded" in out.splitlines()[2]
    summary = "\n".join(out.splitlines()[len(EVENTS) :])
    for piece in (
        f"Search {records.SEARCH_ID} succeeded after 0:01:05: the most iterations allowed are done.",
        "1-3, widen(1, by=32) of 0-1",
        records.NOTATION,
        "418018",
        "90.00 % (9/10), balanced accuracy 91.67 %",
        "85.00 % (17/20), balanced accuracy 85.42 %",
        "60.00 % (12/20) by always answering it",
        f"searches/{records.SEARCH_ID}/weights/1-3.safetensors",
    ):
        assert piece in summary
    assert "Warning: the classes differ in size\n" == err


def test_json_is_the_search(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--output json`` one document comes at the end: the final search."""
    script.streams = [EVENTS]

    status = watch(server, "--output", "json")

    assert 0 == status
    assert records.search() == json_format.Parse(capsys.readouterr().out, search_pb2.Search())


@pytest.mark.parametrize("refusal", [LOST, GOING_DOWN, Refusal(code=grpc.StatusCode.CANCELLED)])
def test_reconnects_from_the_last_sequence(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    """A stream that breaks is taken up after the last event, and a person is told so on standard error."""
    script.streams = [[*EVENTS[:2], refusal], [refusal], EVENTS[2:]]

    status = watch(server, "--output", "jsonl")

    out, err = capsys.readouterr()
    assert 0 == status
    assert [1, 2, 3, 4, 5, 6] == sequences(out)
    assert [0, 2, 2] == [r.after_sequence for r in script.asked(search_service_pb2.WatchSearchRequest)]
    assert 1 == err.count("Lost the connection after event 2")
    assert 1 == err.count("Connected again.")


def test_survives_another_server_at_the_same_address(capsys: pytest.CaptureFixture[str]) -> None:
    """The server's end and its successor's start leave neither gap nor repetition."""
    answers = {"GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())]}
    first, second = (
        Script(answers=answers, streams=[[*EVENTS[:3], Open()]]),
        Script(answers=answers, streams=[EVENTS[3:]]),
    )
    with ScriptedServer(first) as server:
        address = server.address
        command = [sys.executable, "-m", "client", "--server", address, "watch", records.SEARCH_ID, "--output", "jsonl"]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert client.stdout is not None
        before = "".join(client.stdout.readline() for _ in range(3))
    with ScriptedServer(second, listen=address):
        out, err = client.communicate(timeout=60)

    assert (0, [1, 2, 3, 4, 5, 6]) == (client.returncode, sequences(before + out))
    assert [3] == [r.after_sequence for r in second.asked(search_service_pb2.WatchSearchRequest)]
    assert "Connected again." in err


def test_gives_up_when_the_server_stays_away(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """After ``--reconnect`` seconds the client ends with 5 and says how to come back."""
    script.streams = [[*EVENTS[:2], LOST], [LOST]]

    status = watch(server, "--reconnect", "0.5")

    err = capsys.readouterr().err
    assert 5 == status
    assert f"nas-client --server {server.address} watch {records.SEARCH_ID}" in err
    assert "nas-server serve" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        ([EVENTS[0], EVENTS[2]], "sent event 3"),
        ([EVENTS[0], EVENTS[0]], "sent event 1"),
        ([EVENTS[1]], "sent event 2"),
        ([EVENTS[0], records.heartbeat(2)], "event 1 is the last that arrived"),
        ([EVENTS[0], records.heartbeat(1, b"a"), records.heartbeat(1, b"b")], "was set back"),
    ],
    ids=["gap", "repetition", "late start", "heartbeat ahead", "other history"],
)
def test_a_broken_promise_is_an_error(
    script: Script,
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    stream: Sequence[event_pb2.Event],
    sentence: str,
) -> None:
    """A missing, repeated or changed event ends the client with 1 instead of a wrong picture."""
    script.streams = [[*stream, Open()]]

    status = watch(server)

    assert 1 == status
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (event_pb2.Event(search_failed=event_pb2.SearchFailed()), search_pb2.Search.STATE_FAILED),
        (event_pb2.Event(search_cancelled=event_pb2.SearchCancelled()), search_pb2.Search.STATE_CANCELLED),
    ],
)
@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_status_says_that_there_is_no_success(
    script: Script, server: ScriptedServer, last: event_pb2.Event, state: search_pb2.Search.State.ValueType, output: str
) -> None:
    """A search that failed or was cancelled gives 4, however it is printed."""
    ended = event_pb2.Event(sequence=2)
    ended.MergeFrom(last)
    script.streams = [[EVENTS[0], ended]]
    search = records.search()
    search.state = state
    script.answers["GetSearch"] = [search_service_pb2.GetSearchResponse(search=search)]

    assert 4 == watch(server, "--output", output)


def test_nothing_after_the_last_event(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Watching an ended search from its last event on shows its summary and its status."""
    script.streams = [[]]

    status = watch(server, "--after", "6")

    assert 0 == status
    assert [6] == [r.after_sequence for r in script.asked(search_service_pb2.WatchSearchRequest)]
    assert capsys.readouterr().out.startswith(f"Search {records.SEARCH_ID} succeeded")


def test_a_stream_that_ends_too_early_is_taken_up_again(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An orderly end before the terminal event counts as a lost connection."""
    script.streams = [EVENTS[:2], EVENTS[2:]]

    status = watch(server, "--output", "jsonl")

    assert 0 == status
    assert [1, 2, 3, 4, 5, 6] == sequences(capsys.readouterr().out)


def test_the_outcome_stands_even_without_the_summary(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error right after the terminal event costs the summary, not the status."""
    script.streams = [EVENTS]
    script.answers["GetSearch"] = [Refusal(code=grpc.StatusCode.INTERNAL, message="it broke", reason="INTERNAL")]

    status = watch(server)

    assert 0 == status
    assert "The summary is missing: it broke" in capsys.readouterr().err


def test_unknown_search_is_not_waited_for(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal ends the client at once, with the server's own sentence."""
    script.streams = [
        [Refusal(code=grpc.StatusCode.NOT_FOUND, message="there is no such search", reason="SEARCH_NOT_FOUND")]
    ]

    status = watch(server)

    assert (3, "Error: there is no such search\n") == (status, capsys.readouterr().err)


def test_interrupt_detaches(script: Script, server: ScriptedServer) -> None:
    """Ctrl-C ends the client with 130, says how to come back, and asks the server for nothing."""
    script.streams = [[*EVENTS[:1], Open()]]
    command = [sys.executable, "-m", "client", "--server", server.address, "watch", records.SEARCH_ID]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert client.stdout is not None
    client.stdout.readline()

    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=60)

    assert (130, "") == (client.returncode, out)
    assert f"come back with:\n  nas-client --server {server.address} watch {records.SEARCH_ID}" in err
    assert "Traceback" not in err
    assert not script.asked(search_service_pb2.CancelSearchRequest)


def test_closed_standard_output_ends_quietly(script: Script, server: ScriptedServer) -> None:
    """When the reader of a pipe has had enough, the client leaves without a word and without claiming success."""
    script.streams = [EVENTS]
    reading, writing = os.pipe()
    os.close(reading)
    command = [
        sys.executable,
        "-m",
        "client",
        "--server",
        server.address,
        "watch",
        records.SEARCH_ID,
        "--output",
        "jsonl",
    ]

    finished = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)

    assert 1 == finished.returncode
    assert "Warning: the classes differ in size\n" == finished.stderr
