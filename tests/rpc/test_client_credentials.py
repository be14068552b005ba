# SPDX-License-Identifier: Apache-2.0
"""nas-client with certificates, tokens and profiles, against a real server that asks for them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded import READ_TOKEN, WRITE_TOKEN, Keyring
from real_server import RealServer

from client.__main__ import run
from client.profiles import profiles_path

SMALL = ("--dataset", "digits", "--block", "ib", "--max-iterations", "1", "--max-epochs", "1", "--seed", "5")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Certificates and tokens, and a file for each token."""
    keys = Keyring(tmp_path_factory.mktemp("keys"))
    (keys.folder / "reader").write_text(READ_TOKEN + "\n")
    (keys.folder / "writer").write_text(WRITE_TOKEN)
    return keys


@pytest.fixture(scope="module")
def server(keys: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with TLS and tokens, shared by all tests."""
    cert, key = keys.server
    options = ("--executor", "fake", "--tls-cert", str(cert), "--tls-key", str(key), "--token-file", str(keys.tokens))
    with RealServer(tmp_path_factory.mktemp("server"), options, {"NAS_FAKE_EPOCH_SECONDS": "0"}) as server:
        yield server


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profile of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _options(keys: Keyring, token: str = "", ca: Path | None = None) -> list[str]:
    words = ["--tls-ca", str(ca or keys.ours.path)]
    return [*words, "--token-file", str(keys.folder / token)] if token else words


def test_a_writer_starts_and_watches(server: RealServer, keys: Keyring, capsys: pytest.CaptureFixture[str]) -> None:
    """The token goes with single calls and with streams."""
    status = run(["--server", server.address, *_options(keys, "writer"), "--output", "jsonl", "start", *SMALL])

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0 == status
    assert "ann" == events[0]["search_started"]["principal"]
    assert "search_succeeded" in events[-1]


@pytest.mark.parametrize(
    ("token", "verb", "words"),
    [("", ("list",), "--token-file"), ("reader", ("start", *SMALL, "--detach"), "grafana may only look")],
    ids=["nobody", "reader"],
)
def test_a_refusal_is_6_and_says_why(
    server: RealServer,
    keys: Keyring,
    capsys: pytest.CaptureFixture[str],
    token: str,
    verb: tuple[str, ...],
    words: str,
) -> None:
    """Not permitted, in one sentence."""
    status = run(["--server", server.address, *_options(keys, token), *verb])

    said = capsys.readouterr().err
    assert 6 == status
    assert words in said
    assert 1 == said.count("\n")


def test_a_server_of_another_authority_is_not_talked_to(
    server: RealServer, keys: Keyring, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says that its certificate may be the reason; so it does for a server that is not there."""
    for address, ca in ((server.address, keys.others.path), ("127.0.0.1:1", keys.ours.path)):
        status = run(["--server", address, "--timeout", "10", *_options(keys, "reader", ca), "list"])

        assert 5 == status
        assert "over TLS, or none whose certificate --tls-ca vouches for" in capsys.readouterr().err


def test_plaintext_gets_nowhere(server: RealServer) -> None:
    """A server with TLS is no server to a client without."""
    assert 5 == run(["--server", server.address, "--timeout", "10", "list"])


def test_a_token_stays_at_home(keys: Keyring, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not sent in plaintext beyond this machine; nothing is."""
    status = run(["--server", "192.0.2.1:50051", "--token-file", str(keys.folder / "writer"), "list"])

    assert 2 == status
    assert "plaintext; give --tls-ca" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("--tls-ca", "nowhere.pem"),
        ("--tls-ca", "junk"),
        ("--tls-ca", "system", "--tls-cert", "ours.pem"),
        ("--tls-cert", "server.pem", "--tls-key", "junk"),
        ("--token-file", "nowhere"),
        ("--token-file", "junk"),
        ("--token-file", "."),
        ("--profile", "nobody"),
    ],
    ids=" ".join,
)
def test_files_that_cannot_be_used_are_2(
    keys: Keyring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """One sentence, no traceback, nothing sent."""
    monkeypatch.chdir(keys.folder)
    Path("junk").write_bytes(b"two words\xff")

    assert 2 == run(["--server", "127.0.0.1:1", *options, "list"])
    assert 1 == capsys.readouterr().err.count("\n")


def test_a_profile_saves_typing(server: RealServer, keys: Keyring, capsys: pytest.CaptureFixture[str]) -> None:
    """Kept once, used where nothing is said; a relative path means the same from everywhere."""
    assert 0 == run(["config", "set", "lab", "--server", server.address, *_options(keys, "reader")])
    before = run(["--timeout", "5", "--server", server.address, "list"])
    assert 0 == run(["config", "use", "lab"])
    capsys.readouterr()

    shown = run(["config", "show", "--output", "json"])
    settings = json.loads(capsys.readouterr().out)
    used, named = run(["list"]), run(["--profile", "lab", "list"])

    assert (5, 0, 0, 0) == (before, shown, used, named)
    assert (server.address, "profile") == (settings["server"]["value"], settings["server"]["from"])
    assert "profile" == settings["token_file"]["from"]


def test_a_profiles_token_is_for_its_own_server(
    server: RealServer, keys: Keyring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever names another server sends it nothing of the profile's; ``none`` is no profile."""
    run(["config", "set", "lab", "--server", "192.0.2.1:50051", *_options(keys, "reader")])
    run(["config", "use", "lab"])

    elsewhere = run(["--server", server.address, "--timeout", "10", "list"])
    plain = capsys.readouterr().err
    none = run(["--profile", "none", "--server", "127.0.0.1:1", "--timeout", "5", "list"])

    assert (5, 5) == (elsewhere, none)
    assert "over TLS" not in plain


def test_the_environment_names_the_clients_own_files(
    server: RealServer, keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a server on the same machine have other names and are left alone."""
    monkeypatch.setenv("NAS_TOKEN_FILE", str(keys.tokens))
    monkeypatch.setenv("NAS_TLS_CERT", str(keys.server[0]))
    monkeypatch.setenv("NAS_CLIENT_TOKEN_FILE", str(keys.folder / "reader"))
    monkeypatch.setenv("NAS_CLIENT_TLS_CA", str(keys.ours.path))

    assert 0 == run(["--server", server.address, "list"])


def test_profiles_are_listed_and_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    """The one that holds has a star; using none leaves none."""
    run(["config", "set", "lab", "--server", "lab:1", "--tls-ca", "system"])
    run(["config", "set", "lab", "--server", "lab:2"])
    run(["config", "set", "home", "--server", "127.0.0.1:3"])
    run(["config", "use", "lab"])
    run(["config", "list"])
    text = capsys.readouterr().out
    run(["config", "use", "none"])
    capsys.readouterr()
    run(["config", "list", "--output", "json"])

    assert [["home", "127.0.0.1:3"], ["*", "lab", "lab:2"]] == [line.split() for line in text.splitlines()[1:]]
    assert "" == json.loads(capsys.readouterr().out)["current"]


def test_the_file_of_profiles_is_the_users_own(keys: Keyring) -> None:
    """Nobody else reads it, and no token is in it."""
    run(["config", "set", "lab", "--server", "lab:1", *_options(keys, "reader")])

    path = profiles_path()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert READ_TOKEN not in path.read_text()
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["none", "", "a/b", "../x", "a b", "-x"])
def test_a_profile_has_a_plain_name(name: str) -> None:
    """It is typed after --profile."""
    assert 2 == run(["config", "set", name, "--server", "lab:1"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"current": 3, "profiles": {}}',
        '{"current": "", "profiles": {"lab": {"password": "x"}}}',
        '{"current": "", "profiles": {"lab": {"server": 3}}}',
        "\xff",
        "[" * 100_000,
    ],
    ids=range(8),
)
def test_a_damaged_file_is_one_sentence(capsys: pytest.CaptureFixture[str], content: str) -> None:
    """It says which file to repair."""
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_bytes(content.encode("latin-1"))

    assert 2 == run(["list"])
    assert str(profiles_path()) in capsys.readouterr().err


def test_a_profile_excuses_no_contradiction() -> None:
    """--local and --server name two servers, whatever holds besides."""
    run(["config", "set", "lab", "--server", "lab:1", "--tls-ca", "system"])

    assert 2 == run(["--local", "--server", "lab:1", "list"])
