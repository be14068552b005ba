# SPDX-License-Identifier: Apache-2.0
"""Files of tokens: what they may say, what is refused, and that looking a token up tells nothing about it."""

from __future__ import annotations

import hashlib
import stat
import sys
from pathlib import Path

import pytest
from guarded import line

from server.__main__ import main
from server.tokens import Caller, Role, TokenFileError, Tokens, read_tokens

DIGEST = "0" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two tokens, a comment and an empty line."""
    file = tmp_path / "tokens"
    file.write_text("# who may call\n\n" + line("ann", "write", "a-secret") + line("bob", "read", "b-secret"))
    return file


def test_a_token_is_its_holders(path: Path) -> None:
    """With the role of its line; any other text is nobody's."""
    tokens = Tokens(path)

    assert Caller(name="ann", role=Role.WRITE) == tokens.find("a-secret")
    assert Caller(name="bob", role=Role.READ) == tokens.find("b-secret")
    for text in ("", "A-SECRET", "a-secret ", "a-secre", DIGEST, "\udcff", "x" * 1_000_000):
        assert tokens.find(text) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nobody\n",
        "ann write\n",
        "ann write a b\n",
        f"ann admin {DIGEST}\n",
        f"Ann write {DIGEST}\n",
        f"../ann write {DIGEST}\n",
        "ann write a-secret-that-was-not-hashed\n",
        f"ann write {DIGEST}0\n",
        f"ann write {'g' * 64}\n",
        f"ann write {DIGEST}\nbob read {DIGEST}\n",
        f"ann write {DIGEST}\nann read {'1' * 64}\n",
        "\xff\xfe",
    ],
)
def test_a_file_that_is_none_is_refused(path: Path, content: str) -> None:
    """With its line, and without repeating it: it may hold a token by mistake."""
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(TokenFileError) as caught:
        read_tokens(path)

    assert str(path) in str(caught.value)
    assert "a-secret" not in str(caught.value)


def test_a_file_that_everybody_may_write_is_refused(path: Path) -> None:
    """Anybody could add a token."""
    path.chmod(0o666)

    with pytest.raises(TokenFileError, match="every user may write"):
        read_tokens(path)


@pytest.mark.parametrize("token", ["a-secret", "b-secret", "a-secreX", "zzzzzzzX", ""])
def test_every_guess_is_compared_with_all(path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Right, nearly right or wrong: as many comparisons, of whole SHA-256 hashes, in a time that depends on neither."""
    compared: list[tuple[int, int]] = []

    def compare(known: bytes, digest: bytes) -> bool:
        compared.append((len(known), len(digest)))
        return known == digest

    monkeypatch.setattr("server.tokens.hmac.compare_digest", compare)

    Tokens(path).find(token)

    assert [(32, 32)] * 2 == compared


def _token(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nas-server", "token", *arguments])
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def test_a_token_is_made_and_shown_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The file is its owner's alone and holds the hash; a second token joins it; a name is given once."""
    file = tmp_path / "tokens"
    made = []
    for name, role in (("ann", "write"), ("grafana", "read")):
        assert 0 == _token(monkeypatch, name, "--role", role, "--token-file", str(file))
        made.append(capsys.readouterr().out.strip())

    again = _token(monkeypatch, "ann", "--token-file", str(file))

    tokens = Tokens(file)
    assert 78 == again
    assert ["ann", "grafana"] == [found.name for text in made if (found := tokens.find(text)) is not None]
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert all(text not in file.read_text() and len(text) >= 43 for text in made)
    assert hashlib.sha256(made[0].encode()).hexdigest() in file.read_text()


@pytest.mark.parametrize("name", ["Ann", "", "a b", "../x", "x" * 64])
def test_a_name_is_a_plain_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """It stands in events and logs."""
    assert 64 == _token(monkeypatch, name, "--token-file", str(tmp_path / "tokens"))
    assert not (tmp_path / "tokens").exists()
