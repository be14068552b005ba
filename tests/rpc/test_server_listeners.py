# SPDX-License-Identifier: Apache-2.0
"""The two other addresses of a server: metrics for Prometheus, and health checks for probes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from exposition import Series, scrape
from grpc_health.v1 import health_pb2, health_pb2_grpc
from real_server import RealServer, wait_for

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from server.config import DEFAULT_METRICS_LISTEN, Settings
from server.rpc.servicer import SERVICE

SMALL = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "2", "--seed", "5")
FAKE = ("--executor", "fake")
OPEN = (*FAKE, "--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0")
QUICK = {"NAS_FAKE_EPOCH_SECONDS": "0"}


def _places(server: RealServer) -> dict[str, Any]:
    """What the last server said about where it is."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    places: dict[str, Any] = [line for line in lines if line["event"] == "server_serving"][-1]
    return places


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with every listener, after one search, shared by the tests that only look at it."""
    with RealServer(tmp_path_factory.mktemp("server"), OPEN, QUICK) as server:
        server.watch(server.start_search(*SMALL))
        yield server


def test_a_search_can_be_scraped(server: RealServer) -> None:
    """The page has the search, its children and the calls of the client that started and watched it."""
    watches = 'nas_rpc_seconds_count{method="WatchSearch"}'

    def counted() -> Series | None:
        page = scrape(_places(server)["metrics"])
        return page if page.get(watches) else None

    # The client hears the last event before the server has seen that the call is over.
    series: Series = wait_for(counted, "the end of the watch")

    assert 1 == series['nas_searches{state="succeeded"}']
    assert 4 == sum(value for name, value in series.items() if name.startswith("nas_children_total"))
    assert 8 == series["nas_epochs_total"]
    assert 1 == series['nas_rpc_seconds_count{method="StartSearch"}']
    assert series["nas_journal_events_total"] >= series["nas_journal_append_seconds_count"] > 0
    assert series["nas_state_free_bytes"] > 0


def test_whoever_waits_for_the_port_file_finds_the_addresses_in_the_log(tmp_path: Path) -> None:
    """A server that is killed before it has written the file has said them already."""
    dying = {"NAS_CRASH_POINTS_ENABLED": "1", "NAS_CRASH_AT": "port_file.before_rename:1"}
    server = RealServer(tmp_path, OPEN, dying)
    with pytest.raises(AssertionError, match="server_serving"), server:
        pass

    assert not (tmp_path / "address").exists()
    assert {"address", "metrics", "health"} <= set(_places(server))


def test_counts_survive_a_kill(tmp_path: Path) -> None:
    """After kill -9 the next server shows the counts that follow from the journal as they were."""
    with RealServer(tmp_path, OPEN, QUICK) as server:
        server.watch(server.start_search(*SMALL))
        before = scrape(_places(server)["metrics"])
        server.kill()
        server.start()
        after = scrape(_places(server)["metrics"])

    counted = (
        "nas_children_total",
        "nas_epoch",
        "nas_trained",
        "nas_child_",
        "nas_queue_",
        "nas_faults",
        "nas_attempts",
    )
    names = [name for name in before if name.startswith((*counted, "nas_searches", "nas_resumes"))]
    assert len(names) > 50
    assert {name: before[name] for name in names} == pytest.approx({name: after[name] for name in names})


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
        (b"GET /metrics?name=x HTTP/1.0\r\nHost: a\r\n\r\n", b"HTTP/1.1 200"),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HTTP/1.1 405"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b""),
        (b"GET /metrics HTTP/1.1\r\n", b""),
    ],
    ids=["about", "query", "path", "post", "tls", "long", "half"],
)
def test_the_page_is_all_there_is(server: RealServer, request_bytes: bytes, answer: bytes) -> None:
    """Whatever else is asked is refused or ignored, and the next scrape works."""
    host, port = _places(server)["metrics"].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        try:
            said = connection.recv(64)
        except ConnectionResetError:
            said = b""

    assert answer == said[: len(answer)]
    assert bool(answer) == bool(said)
    assert scrape(_places(server)["metrics"])


def test_probes_have_an_address_of_their_own(server: RealServer) -> None:
    """It answers health checks, and nothing else."""
    with grpc.insecure_channel(_places(server)["health"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        services = ("", SERVICE.full_name, "liveness")
        states = [stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status for name in services]
        with pytest.raises(grpc.RpcError) as caught:
            SearchServiceStub(channel).ListSearches(pb.ListSearchesRequest(), timeout=20)

    assert [health_pb2.HealthCheckResponse.SERVING] * 3 == states
    assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


@pytest.mark.parametrize("option", ["--health-listen", "--metrics-listen"])
def test_an_address_that_was_asked_for_and_is_taken_is_78(server: RealServer, tmp_path: Path, option: str) -> None:
    """The sentence names the option."""
    command = [sys.executable, "-m", "server", "serve", "--state-dir", str(tmp_path), *FAKE, "--listen", "127.0.0.1:0"]

    second = subprocess.run([*command, option, server.address], capture_output=True, text=True, timeout=60, check=False)

    assert 78 == second.returncode
    assert f"cannot listen on {server.address}" in second.stderr.splitlines()[-1]
    assert option in second.stderr.splitlines()[-1]


def test_two_servers_do_not_quarrel_over_metrics(
    server: RealServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the default address is taken, the second server serves without metrics and says so."""
    monkeypatch.delenv("NAS_METRICS_LISTEN", raising=False)
    listener = socket.socket()
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, port = DEFAULT_METRICS_LISTEN.split(":")
        try:
            listener.bind((host, int(port)))
            listener.listen()
        except OSError:
            pass  # some other server of this machine has it, which will do
        second = RealServer(tmp_path, FAKE, QUICK, metrics=())
        with second:
            places = _places(second)

    assert "metrics" not in places
    assert "metrics_off" in second.log


def test_settings_say_where_metrics_are() -> None:
    """By default on loopback beside a port, nowhere beside a socket, and off is off."""
    assert DEFAULT_METRICS_LISTEN == Settings(listen="127.0.0.1:0").metrics_address
    assert Settings(listen="unix:/run/nas.socket").metrics_address is None
    assert Settings(metrics_listen="off").metrics_address is None
    assert "0.0.0.0:9464" == Settings(metrics_listen="0.0.0.0:9464").metrics_address


@pytest.mark.parametrize("address", ["nowhere", "unix:/run/nas.socket", "127.0.0.1:99999", ""])
def test_metrics_have_a_host_and_a_port(address: str) -> None:
    """Prometheus reads from no socket."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        Settings(metrics_listen=address)
