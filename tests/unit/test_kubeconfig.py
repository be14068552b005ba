# SPDX-License-Identifier: Apache-2.0
"""Configurations of kubectl: merged as kubectl merges them, and each fault of one is a sentence with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from client.cluster.connecting import connect_to
from client.cluster.kubeconfig import choose
from client.errors import ClientError, Exit

Document = dict[str, Any]


def configuration(**changes: Any) -> Document:
    """A whole configuration; a change of ``cluster``, ``user`` or ``context`` is one of its fields."""
    return {
        "current-context": "work",
        "clusters": [{"name": "c", "cluster": {"server": "https://c.example", **changes.get("cluster", {})}}],
        "users": [{"name": "u", "user": {"token": "t", **changes.get("user", {})}}],
        "contexts": [{"name": "work", "context": {"cluster": "c", "user": "u", **changes.get("context", {})}}],
    }


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write files, one from each text or document, and let ``KUBECONFIG`` name them."""

    def write(*contents: Any) -> list[Path]:
        paths = [tmp_path / f"config-{number}" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
        monkeypatch.setenv("KUBECONFIG", ":".join(map(str, paths)))
        return paths

    return write


def test_files_are_merged(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first to mention something counts; files that are not there and empty ones are passed over."""
    other = configuration(cluster={"server": "https://other.example"}, context={"namespace": "ml"})
    other["contexts"].append({"name": "home", "context": {"cluster": "c", "user": "u", "namespace": "den"}})
    first = configuration()
    del first["contexts"], first["current-context"]
    paths = write(b"", first, other)
    monkeypatch.setenv("KUBECONFIG", ":".join(["/nowhere/config", *map(str, paths), ""]))

    found, named = choose(None), choose("home")

    assert ("work", "https://c.example", "ml") == (found.context, found.cluster["server"], found.namespace)
    assert ("home", "den", "t") == (named.context, named.namespace, named.user["token"])


def test_paths_start_at_their_file(write: Any, tmp_path: Path) -> None:
    """As kubectl reads them, wherever the client is started."""
    (tmp_path / "token").write_text("t")
    write(configuration(user={"tokenFile": "token"}))

    assert str(tmp_path / "token") == choose(None).user["tokenFile"]


@pytest.mark.parametrize(
    ("content", "context", "words"),
    [
        (b"", None, ("no context is chosen", "there is none in", "config-0")),
        (b"{}", "work", ("Context 'work' not found", "there is none in")),
        (b"- a\n- b\n", None, ("config-0 is no kubeconfig: it holds a list",)),
        (b"hello", None, ("config-0 is no kubeconfig: it holds a text",)),
        (b"a: [1\nb: 2\n", None, ("config-0, line 2 is no YAML",)),
        (b"\xff\xfe\x00", None, ("config-0 is no text",)),
        ({"clusters": {"c": 1}}, None, ("config-0 is no kubeconfig: clusters is a mapping, not a list",)),
        ({"users": ["u"]}, None, ("an entry of users has no name or no user",)),
        (configuration(), "elsewhere", ("Context 'elsewhere' not found", "there are work")),
        (configuration(context={"user": "ada"}), None, ("context work names user ada, which is not in",)),
        (configuration(context={"cluster": "d"}), None, ("context work names cluster d, which is not in",)),
        (configuration(context={"cluster": None}), None, ("context work names no cluster",)),
        (configuration(cluster={"server": None}), None, ("cluster c of context work has no server",)),
        (
            configuration(cluster={"certificate-authority": "ca.crt"}),
            None,
            ("certificate-authority", "ca.crt of cluster c cannot be read: No such file"),
        ),
        (
            configuration(user={"client-certificate": "me.crt", "client-key": "me.key"}),
            None,
            ("client-certificate", "me.crt of user u cannot be read: No such file"),
        ),
        (
            configuration(user={"tokenFile": "token"}),
            None,
            (
                "tokenFile",
                "token of user u cannot be read",
            ),
        ),
        (configuration(user={"token": None, "auth-provider": {"name": "gcp"}}), None, ("auth-provider",)),
        (configuration(user={"token": 5}), None, ("context work cannot be used",)),
    ],
)
def test_each_fault_is_one_sentence(write: Any, content: Any, context: str | None, words: tuple[str, ...]) -> None:
    """Which file or entry, and what is wrong with it; status 5, as there is no cluster to talk to."""
    write(content)

    with pytest.raises(ClientError) as caught:
        connect_to(choose(context))

    sentence = str(caught.value)
    assert Exit.UNAVAILABLE == caught.value.exit_status
    assert sentence.startswith("There is no cluster to talk to: ")
    assert [] == [word for word in words if word not in sentence]
    assert "\n" not in sentence


def test_no_file_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said where was looked."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere/a:/nowhere/b")

    with pytest.raises(ClientError, match="configuration file /nowhere/a and /nowhere/b not found"):
        choose(None)


def test_user_may_be_missing(write: Any) -> None:
    """A context without a user asks as nobody in particular."""
    write(configuration(context={"user": None}))

    assert {} == choose(None).user
    connect_to(choose(None))
