# SPDX-License-Identifier: Apache-2.0
"""The program nas-server: what it answers to its options, its folder, its port and its signals, by its exit status."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from guarded import Keyring
from real_server import RealServer
from served import start_request

from nas.api.v1 import search_pb2
from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from server.__main__ import main
from server.commands.exits import exit_codes
from server.journal.base import JournalFullError
from server.rpc.servicer import SERVICE

GOLDEN = Path(__file__).parents[1] / "golden" / "journals" / "v0.1.0"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _exit(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the program in this process, for what ends before it sets up its log."""
    monkeypatch.setattr(sys, "argv", ["nas-server", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with the fake executor, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("server")
    with RealServer(folder, ("--executor", "fake"), {"NAS_FAKE_EPOCH_SECONDS": "0"}) as server:
        yield server


INITIAL_ALONE = ("--dataset", "digits", "--block", "ib", "--max-iterations", "0", "--max-epochs", "2")

USAGE: list[tuple[str, ...]] = [
    (),
    ("fly",),
    ("serve", "--nonsense"),
    ("serve", "--workers", "many"),
    ("serve", "--executor", "cloud"),
    ("serve", "extra"),
    ("digest",),
    ("digest", "a", "b"),
]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("fly",), 64),
        (("serve", "--listen", "nowhere"), 78),
        (("run", "--executor", "fake", "--listen", "127.0.0.1:0", *INITIAL_ALONE), 0),
    ],
    ids=["usage", "setting", "log"],
)
def test_words_that_cannot_be_written_change_no_status(tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
    """Standard error may be a file on a disk that is full."""
    command = [sys.executable, "-m", "server", *arguments]
    environment = {
        **os.environ,
        "NAS_STATE_DIR": str(tmp_path),
        "NAS_METRICS_LISTEN": "off",
        "NAS_FAKE_EPOCH_SECONDS": "0",
    }
    with open("/dev/full", "w") as full:
        finished = subprocess.run(command, stderr=full, timeout=60, check=False, env=environment)

    assert status == finished.returncode


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_errors_are_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """What to type stands on standard error, and nothing on standard output."""
    status = _exit(monkeypatch, *arguments)

    output = capsys.readouterr()
    assert 64 == status
    assert "" == output.out
    assert "Usage: nas-server" in output.err


CONFIG: list[tuple[tuple[str, ...], str]] = [
    (("--workers", "0"), "--workers: Input should be greater than or equal to 1"),
    (("--workers", "65"), "--workers: Input should be less than or equal to 64"),
    (("--listen", "nowhere"), "--listen: must be HOST:PORT"),
    (("--listen", "unix:here"), "--listen: the path of a socket must be absolute and at most 107 bytes long"),
    (("--listen", f"unix:/{'x' * 107}"), "--listen: the path of a socket must be absolute and at most 107 bytes long"),
    (("--listen", "127.0.0.1:99999"), "--listen: must be HOST:PORT"),
    (
        ("--listen", "0.0.0.0:0"),
        "0.0.0.0:0 can be reached from other machines and not everybody there is to be trusted",
    ),
    (("--listen", "[::]:0"), "[::]:0 can be reached from other machines"),
    (("--listen", "192.168.1.1:0"), "192.168.1.1:0 can be reached from other machines"),
    (
        ("--any-path",),
        "--any-path lets a caller read whatever the server's user may, and 127.0.0.1:50051 is open to all",
    ),
    (("--tls-cert", "a.pem"), "--tls-cert and --tls-key go together"),
    (("--tls-key", "a.key"), "--tls-cert and --tls-key go together"),
    (("--tls-client-ca", "a.pem"), "--tls-client-ca needs both"),
    (("--listen", "unix:/tmp/nas", "--tls-cert", "a", "--tls-key", "b"), "a socket needs no TLS"),
    (("--max-streams", "0"), "--max-streams: Input should be greater than or equal to 1"),
    (("--listen", "example.org:0"), "example.org:0 can be reached from other machines"),
]


@pytest.mark.parametrize(("options", "words"), CONFIG, ids=lambda value: str(value)[:40])
def test_settings_that_cannot_be_are_78(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
) -> None:
    """One sentence names the option, and no state folder is made."""
    status = _exit(monkeypatch, "serve", "--state-dir", str(tmp_path / "state"), *options)

    output = capsys.readouterr()
    assert 78 == status
    assert words in output.err
    assert 1 == output.err.count("\n")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("content", [None, "", "ann writes", "ann write abc"], ids=["missing", "empty", "role", "hash"])
def test_a_file_of_tokens_that_cannot_be_used_is_78(tmp_path: Path, content: str | None) -> None:
    """One sentence names the file; nothing is served."""
    tokens = tmp_path / "tokens"
    if content is not None:
        tokens.write_text(content)

    result = _run("serve", "--state-dir", str(tmp_path / "state"), "--executor", "fake", "--token-file", str(tokens))

    assert 78 == result.returncode
    assert str(tokens) in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key", "--tls-client-ca"])
def test_certificates_that_cannot_be_used_are_78(tmp_path: Path, option: str) -> None:
    """Junk, in each place; the sentence names the option and the file."""
    keys = Keyring(tmp_path)
    junk = tmp_path / "junk"
    junk.write_text("no certificate")
    files = {"--tls-cert": keys.server[0], "--tls-key": keys.server[1], "--tls-client-ca": keys.ours.path, option: junk}
    words = [str(word) for pair in files.items() for word in pair]

    result = _run("serve", "--state-dir", str(tmp_path / "state"), "--executor", "fake", *words)

    assert 78 == result.returncode
    assert f"{option} {junk}" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_setting_of_the_environment_is_checked_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """NAS_WORKERS is as good as --workers, and as bad."""
    monkeypatch.setenv("NAS_WORKERS", "-3")

    assert 78 == _exit(monkeypatch, "serve", "--state-dir", str(tmp_path))
    assert "--workers" in capsys.readouterr().err


def test_a_state_folder_that_cannot_be_made_is_78() -> None:
    """The sentence names it."""
    result = _run("serve", "--state-dir", "/dev/null/state", "--listen", "127.0.0.1:0", "--executor", "fake")

    assert 78 == result.returncode
    assert "/dev/null/state" in result.stderr


def test_others_may_connect_where_that_was_accepted(tmp_path: Path) -> None:
    """--insecure lets the server listen on every address."""
    with RealServer(tmp_path, ("--executor", "fake", "--listen", "0.0.0.0:0", "--insecure")) as server:
        port = server.address.removeprefix("0.0.0.0:")
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10):
            assert 0 == server.stop()


def test_a_file_in_the_place_of_a_socket_is_78(tmp_path: Path) -> None:
    """It is somebody's, so it stays as it is."""
    (tmp_path / "thesis.tex").write_text("years of work")

    refused = _run("serve", "--state-dir", str(tmp_path / "state"), "--listen", f"unix:{tmp_path}/thesis.tex")

    assert 78 == refused.returncode
    assert "there is a file that is no socket; choose another address with --listen" in refused.stderr
    assert "years of work" == (tmp_path / "thesis.tex").read_text()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """One that a killed server has left is no obstacle; one that is in use is."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with RealServer(tmp_path, ("--listen", f"unix:{path}")) as server:
        second = _run("serve", "--state-dir", str(tmp_path / "other"), "--listen", f"unix:{path}")

        assert f"unix:{path}" == server.address
        assert 0 == server.client("list").returncode
        assert 78 == second.returncode
        assert "another server is using the socket" in second.stderr


def test_a_port_that_is_taken_is_78(server: RealServer, tmp_path: Path) -> None:
    """No second server on the address of the first, which would split the clients among them."""
    second = _run("serve", "--state-dir", str(tmp_path), "--listen", server.address, "--executor", "fake")

    assert 78 == second.returncode
    assert f"cannot listen on {server.address}" in second.stderr


def test_a_state_folder_that_is_in_use_is_73(server: RealServer) -> None:
    """At once, by serve and by digest; the first server notices nothing."""
    start = time.monotonic()
    second = _run("serve", "--state-dir", str(server.state_dir), "--listen", "127.0.0.1:0", "--executor", "fake")
    digest = _run("digest", "--state-dir", str(server.state_dir), "0" * 12)
    seconds = time.monotonic() - start

    assert (73, 73) == (second.returncode, digest.returncode)
    assert str(server.state_dir) in second.stderr
    assert seconds < 10
    with grpc.insecure_channel(server.address) as channel:
        answer = SearchServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=20)
    assert version("seib-nas") == answer.version


@pytest.mark.parametrize("verb", ["serve", "digest"])
def test_a_damaged_journal_is_74(tmp_path: Path, verb: str) -> None:
    """Nothing is served or computed from what is not as it was acknowledged."""
    state_dir = tmp_path / "state"
    shutil.copytree(GOLDEN, state_dir)
    content = bytearray((state_dir / "journal.db").read_bytes())
    content[len(content) // 2] ^= 1
    (state_dir / "journal.db").write_bytes(content)
    arguments = ("000000000001",) if verb == "digest" else ("--listen", "127.0.0.1:0", "--executor", "fake")

    result = _run(verb, "--state-dir", str(state_dir), *arguments)

    assert 74 == result.returncode
    assert "journal.db" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_journal_without_room_is_75(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk is no damage: whoever restarts the server may do so again."""
    with pytest.raises(SystemExit) as ended, exit_codes():
        raise JournalFullError(tmp_path / "journal.db")

    assert 75 == ended.value.code
    assert "free some, then try again" in capsys.readouterr().err


@pytest.mark.parametrize("search_id", ["0123456789ab", "nonsense", "../state"])
def test_the_digest_of_an_unknown_search_is_65(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, search_id: str
) -> None:
    """The sentence names the search and the folder."""
    shutil.copytree(GOLDEN, tmp_path / "state")

    assert 65 == _exit(monkeypatch, "digest", "--state-dir", str(tmp_path / "state"), search_id)
    assert search_id in capsys.readouterr().err


def test_the_digest_of_no_journal_is_65(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the folder stays as it is."""
    assert 65 == _exit(monkeypatch, "digest", "--state-dir", str(tmp_path), "0" * 12)
    assert [] == list(tmp_path.iterdir())


def test_a_stopped_folder_has_the_digest_that_the_server_showed(tmp_path: Path) -> None:
    """And the server ends with 0 when it is asked to."""
    environment = {"NAS_FAKE_EPOCH_SECONDS": "0"}
    with RealServer(tmp_path, ("--executor", "fake", "--workers", "3"), environment) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = SearchServiceStub(channel)
            search_id = stub.StartSearch(start_request(), timeout=60).search.search_id
            responses = list(stub.WatchSearch(pb.WatchSearchRequest(search_id=search_id), timeout=60))
            shown = stub.GetSearch(pb.GetSearchRequest(search_id=search_id), timeout=20).search
        status = server.stop()
        computed = server.digest(search_id)

    assert 0 == status
    assert search_pb2.Search.STATE_SUCCEEDED == shown.state
    assert len(responses) == shown.sequence
    assert re.fullmatch("[0-9a-f]{64}", computed)
    assert shown.digest == computed


def test_a_server_that_serves_says_so(server: RealServer) -> None:
    """To health checks of everything, of the API and of liveness; of anything else it knows nothing."""
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        services = ("", SERVICE.full_name, "liveness")
        states = [stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status for name in services]

        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="weather"), timeout=20)

    assert [health_pb2.HealthCheckResponse.SERVING] * 3 == states
    assert grpc.StatusCode.NOT_FOUND is caught.value.code()


def test_the_api_can_be_explored(server: RealServer) -> None:
    """Reflection names the services, so that grpcurl and buf curl work without the schema."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=20)

    assert {SERVICE.full_name, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == {
        service.name for service in answer.list_services_response.service
    }


def test_the_port_file_holds_the_address(server: RealServer) -> None:
    """One line with the port that was picked, and no half-written file beside it."""
    assert re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]*\n", (server.folder / "address").read_text())
    assert [] == list(server.folder.glob(".address*"))


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("digest", "--help"), ("--version",)])
def test_help_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """On standard output, with exit status 0."""
    monkeypatch.setattr(sys, "argv", ["nas-server", *arguments])

    main()

    assert "nas-server" in capsys.readouterr().out
