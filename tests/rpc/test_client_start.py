# SPDX-License-Identifier: Apache-2.0
"""Starting over a real wire: only what was given is sent, nothing is started twice, and bad input never leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import grpc
import pytest
import search_records as records
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from scripted_service import Open, Refusal, Script, ScriptedServer

from client.__main__ import run
from nas.api.v1 import search_pb2, search_service_pb2

REQUIRED = ("--dataset", "mnist", "--block", "ib")
EVERYTHING = search_pb2.SearchConfig(
    dataset="mnist",
    block=search_pb2.BLOCK_TYPE_INCEPTION,
    preset=search_pb2.PRESET_PAPER,
    seed=7,
    initial="C(64,3) F() FC(10)",
    input_size=32,
    train_limit=500,
    max_iterations=2,
    time_budget=Duration(seconds=1800),
    max_attempts=5,
    max_failed_children=2,
    max_parameters=9,
    selection_metric=search_pb2.SELECTION_METRIC_BALANCED_ACCURACY,
    threads=2,
    folds=5,
    fold=2,
    operations=[search_pb2.OPERATION_WIDEN, search_pb2.OPERATION_ADD_POOL],
    training=search_pb2.TrainingConfig(
        learning_rate=0.01,
        weight_decay=0.0,
        batch_size=5,
        max_epochs=3,
        patience=4,
        device=search_pb2.DEVICE_CUDA,
        precision=search_pb2.PRECISION_BF16,
        imbalance=search_pb2.IMBALANCE_SAMPLING,
        augment="flip,scale",
    ),
)
"""What a search is that has every option."""


@pytest.fixture
def script() -> Script:
    """A script in which the search starts and ends well."""
    return Script(
        answers={
            "GetServerInfo": [records.server_info()],
            "StartSearch": [search_service_pb2.StartSearchResponse(search=records.running_search())],
            "GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())],
        },
        streams=[records.events()],
    )


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    """A server that plays the script."""
    with ScriptedServer(script) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at what is sent, so nothing may come from the environment of the suite."""
    monkeypatch.delenv("NAS_START_PRESET")
    monkeypatch.delenv("NAS_PLAN_PRESET")


def start(server: ScriptedServer, *options: str, verb: str = "start") -> int:
    """Run ``start`` in this process."""
    return run(["--server", server.address, verb, *REQUIRED, *options])


def sent(script: Script) -> search_service_pb2.StartSearchRequest:
    """The one StartSearch that arrived."""
    (request,) = script.asked(search_service_pb2.StartSearchRequest)
    assert isinstance(request, search_service_pb2.StartSearchRequest)
    return request


def test_what_is_not_given_stays_unset(script: Script, server: ScriptedServer) -> None:
    """The preset's values are the server's business: only dataset and block are sent, and a fresh UUID4."""
    status = start(server, "--detach")

    expected = search_pb2.SearchConfig(dataset="mnist", block=search_pb2.BLOCK_TYPE_INCEPTION)
    assert (0, expected) == (status, sent(script).config)
    assert 4 == uuid.UUID(sent(script).request_id).version
    assert not sent(script).validate_only


def test_every_option_arrives(script: Script, server: ScriptedServer) -> None:
    """Each option sets its field, and nothing else."""
    status = start(
        server,
        *("--preset", "paper", "--seed", "7", "--max-iterations", "2", "--max-epochs", "3", "--patience", "4"),
        *("--learning-rate", "0.01", "--weight-decay", "0", "--batch-size", "5", "--input-size", "32"),
        *("--train-limit", "500", "--time-budget", "30m", "--device", "cuda", "--precision", "bf16", "--threads", "2"),
        *("--initial", "C(64,3);F();FC(10)", "--selection-metric", "balanced-accuracy", "--max-parameters", "9"),
        *("--max-attempts", "5", "--max-failed-children", "2"),
        *("--imbalance", "sampling", "--augment", "flip,scale", "--folds", "5", "--fold", "2"),
        *("--operations", "widen, add_pool"),
        *("--request-id", records.REQUEST_ID, "--detach"),
    )

    assert (0, EVERYTHING, records.REQUEST_ID) == (status, sent(script).config, sent(script).request_id)


def test_no_time_budget_is_not_the_preset_s(script: Script, server: ScriptedServer) -> None:
    """``--time-budget none`` sends a zero, which differs from sending nothing."""
    start(server, "--time-budget", "none", "--detach")

    assert sent(script).config.HasField("time_budget")
    assert 0 == sent(script).config.time_budget.seconds


def test_detach_prints_the_id_alone(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output holds the search's id, so that a script can keep it; warnings go elsewhere."""
    start(server, "--detach")

    assert (f"{records.SEARCH_ID}\n", "Warning: the classes differ in size\n") == capsys.readouterr()


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_detach_prints_the_search(server: ScriptedServer, capsys: pytest.CaptureFixture[str], output: str) -> None:
    """As JSON the search is printed as it stands."""
    start(server, "--detach", "--output", output)

    assert records.running_search() == json_format.Parse(capsys.readouterr().out, search_pb2.Search())


def test_start_watches(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--detach`` every event is shown from the first on."""
    status = start(server, "--output", "jsonl")

    lines = capsys.readouterr().out.splitlines()
    assert (0, ["1", "2", "3", "4", "5", "6"]) == (status, [json.loads(line)["sequence"] for line in lines])
    assert [0] == [r.after_sequence for r in script.asked(search_service_pb2.WatchSearchRequest)]


def test_output_before_the_verb(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``--output`` counts on either side of the verb; the one after it wins."""
    arguments = ["--server", server.address, "--output", "jsonl", "start", *REQUIRED]

    run(arguments)
    before = capsys.readouterr().out
    run([*arguments, "--output", "text"])
    after = capsys.readouterr().out

    assert before.startswith("{")
    assert after.startswith("0:00:00  search started")


def test_options_come_from_the_environment(
    script: Script, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NAS_SERVER and NAS_<VERB>_<OPTION> stand in for options that are not given."""
    monkeypatch.setenv("NAS_SERVER", server.address)
    monkeypatch.setenv("NAS_START_DATASET", "digits")
    monkeypatch.setenv("NAS_START_MAX_ITERATIONS", "3")
    monkeypatch.setenv("NAS_START_DETACH", "1")

    status = run(["start", "--block", "seib"])

    expected = search_pb2.SearchConfig(dataset="digits", block=search_pb2.BLOCK_TYPE_SE_INCEPTION, max_iterations=3)
    assert (0, expected) == (status, sent(script).config)
    assert f"{records.SEARCH_ID}\n" == capsys.readouterr().out


def test_first_connection_after_the_start_may_be_lost(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the search exists, a server that goes away before the first event is waited for."""
    script.streams = [[Refusal(code=grpc.StatusCode.UNAVAILABLE)], records.events()]

    status = start(server, "--output", "jsonl")

    assert (0, 6) == (status, len(capsys.readouterr().out.splitlines()))


def test_a_start_without_an_answer_can_be_repeated(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """When nobody knows whether the search exists, the request id that finds it out is named."""
    script.answers["StartSearch"] = [Open()]

    status = run(["--server", server.address, "--timeout", "3", "start", *REQUIRED])

    err = capsys.readouterr().err
    assert 5 == status
    assert f"--request-id {sent(script).request_id}" in err
    assert "did not answer within 3 s" in err


@pytest.mark.parametrize("verb", ["start", "plan"])
@pytest.mark.parametrize(("options", "seconds"), [((), 3600), (("--timeout", "7"), 7), (("--timeout", "60"), 60)])
def test_data_may_take_its_time(
    script: Script, server: ScriptedServer, verb: str, options: tuple[str, ...], seconds: int
) -> None:
    """Thousands of images are read before a search starts: that call waits an hour, unless the user says otherwise."""
    script.answers["StartSearch"] = [Refusal(code=grpc.StatusCode.FAILED_PRECONDITION, reason="DATA_MISSING")]

    run(["--server", server.address, *options, verb, *REQUIRED])

    assert seconds - 5 < script.patience["StartSearch"] < 1.01 * seconds + 1  # gRPC rounds deadlines up


def test_interrupt_leaves_the_search_alone(script: Script, server: ScriptedServer) -> None:
    """Ctrl-C while watching gives 130 and the way back, and nothing is cancelled."""
    script.streams = [[records.events()[0], Open()]]
    command = [sys.executable, "-m", "client", "--server", server.address, "start", *REQUIRED]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert client.stdout is not None
    client.stdout.readline()

    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=60)

    assert 130 == client.returncode
    assert f"nas-client --server {server.address} watch {records.SEARCH_ID}" in err
    assert not script.asked(search_service_pb2.CancelSearchRequest)


@pytest.mark.parametrize(
    "options",
    [
        ("--block", "foo"),
        ("--preset", "mine"),
        ("--seed", "x"),
        ("--seed", str(2**63)),
        ("--max-iterations", str(2**31)),
        ("--learning-rate", "fast"),
        ("--time-budget", "3 weeks"),
        ("--time-budget", "999999999999d"),
        ("--device", "tpu"),
        ("--operations", ""),
        ("--operations", "widen,deepen"),
        ("--operations", "widen,widen"),
        ("--initial", "C(64,3) F()"),
        ("--initial", "C(64,3"),
        ("--request-id", "1"),
        ("--no-such-option",),
        ("a", "b"),
    ],
)
def test_bad_input_never_leaves(
    script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """What the client can tell to be wrong gives 2 and one line before anything is asked."""
    status = start(server, *options)

    out, err = capsys.readouterr()
    assert (2, "", []) == (status, out, script.requests)
    assert err.startswith("Error: ")
    assert 1 == err.count("\n")


def test_plan_asks_without_starting(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    """``plan`` validates only, and prints each child, its cost and layers, what is skipped, and the disk need."""
    script.answers["StartSearch"] = [search_service_pb2.StartSearchResponse(plan=records.plan())]

    status = start(server, verb="plan")

    out, err = capsys.readouterr()
    assert (0, True, "") == (status, sent(script).validate_only, sent(script).request_id)
    for piece in (
        "at most 30.0 MiB",
        "child 0-1: initial model, 2726 parameters",
        "child 1-3: widen(1, by=32) of 0-1, 4088 parameters",
        "at most 1.5 GiB of memory",
        "2x26x26",
        "child 1-4 would be skipped: concat of 0-1, no valid argument",
    ):
        assert piece in out
    assert "Warning: the classes differ in size\n" == err


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_plan_as_json(script: Script, server: ScriptedServer, capsys: pytest.CaptureFixture[str], output: str) -> None:
    """As JSON the plan is the message itself."""
    script.answers["StartSearch"] = [search_service_pb2.StartSearchResponse(plan=records.plan())]

    start(server, "--output", output, verb="plan")

    assert records.plan() == json_format.Parse(capsys.readouterr().out, search_service_pb2.Plan())
