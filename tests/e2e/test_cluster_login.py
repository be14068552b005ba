# SPDX-License-Identifier: Apache-2.0
"""Credential plugins, as cloud tools install them, in front of an API that wants to know who asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_jobs import client
from mock_cluster import MockCluster

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
PLUGIN = """\
#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >"{folder}/info"
echo "$REGION $*" >"{folder}/call"
cat "{folder}/answer"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MockCluster]:
    """A cluster without anything in it."""
    with MockCluster(tmp_path) as cluster:
        yield cluster


def answer(version: str = V1, **status: Any) -> str:
    """What a plugin prints."""
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def log_in_with(cluster: MockCluster, folder: Path, text: str, **changes: Any) -> dict[str, str]:
    """Let the user's kubeconfig name a plugin that prints something; returns the environment."""
    (folder / "answer").write_text(text)
    plugin = folder / "plugin"
    plugin.write_text(PLUGIN.format(folder=folder))
    plugin.chmod(0o755)
    configuration = yaml.safe_load(Path(cluster.environment["KUBECONFIG"]).read_text())
    wanted: dict[str, Any] = {
        "apiVersion": V1,
        "command": "./plugin",
        "args": ["get-token", "--id=1"],
        "interactiveMode": "IfAvailable",
    }
    wanted["env"] = [{"name": "REGION", "value": "north"}]
    configuration["users"][0]["user"] = {"exec": {**wanted, "provideClusterInfo": True, **changes}}
    (folder / "login").write_text(yaml.safe_dump(configuration))
    return {"KUBECONFIG": str(folder / "login")}


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_token_of_a_plugin_is_used(cluster: MockCluster, tmp_path: Path, version: str) -> None:
    """The plugin gets its words, its variables and the protocol's question; each request carries its token."""
    environment = log_in_with(cluster, tmp_path, answer(version, token="secret-1"), apiVersion=version)

    status, _, talk = client(cluster, "jobs", "list", **environment)

    info = json.loads((tmp_path / "info").read_text())
    assert (0, {"Bearer secret-1"}) == (status, set(cluster.api.tokens)), talk
    assert "north get-token --id=1\n" == (tmp_path / "call").read_text()
    assert (version, "ExecCredential", False) == (info["apiVersion"], info["kind"], info["spec"]["interactive"])
    assert info["spec"]["cluster"]["server"].startswith("http://127.0.0.1:")
    assert "secret-1" not in talk


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("", {"command": "no-such-login"}, ("logs in with a program, no-such-login, which is not on this machine",)),
        ("", {"command": "no-such-login", "installHint": "Get it\nat login.example"}, ("Get it at login.example",)),
        ("", {"command": "./answer"}, ("./answer, which is not on this machine",)),  # it may not be run
        (
            "",
            {"command": "sh", "args": ["-c", "echo token is gone >&2; exit 3"]},
            ("failed with status 3; log in again: token is gone.",),
        ),
        ("no json", {}, ("answered with something that is no JSON",)),
        ("[]", {}, ("answered in version None",)),
        (answer(V1BETA1, token="t"), {}, (f"answered in version {V1BETA1}, not {V1}",)),
        (answer(), {}, ("answered without a token or a certificate; log in again",)),
        (
            answer(token="t"),
            {"apiVersion": "client.authentication.k8s.io/v2"},
            ("of version client.authentication.k8s.io/v2",),
        ),
        (answer(token="t"), {"interactiveMode": "Always"}, ("asks questions; run this in a terminal",)),
        (
            answer(clientCertificateData="no PEM", clientKeyData="no PEM"),
            {},
            ("certificate of context test cannot be used",),
        ),
    ],
)
def test_plugin_that_does_not_help(
    cluster: MockCluster, tmp_path: Path, text: str, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    """One sentence says which program, and what to do; nothing is asked of the cluster."""
    environment = log_in_with(cluster, tmp_path, text, **changes)

    status, output, talk = client(cluster, "jobs", "list", **environment)

    assert status in (5, 6)
    assert ("", 1, 0) == (output, len(talk.splitlines()), cluster.api.asked)
    assert [] == [word for word in words if word not in talk]
    assert "unexpected" not in talk


def test_token_that_expires_is_renewed(cluster: MockCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin is run again when the cluster says 401, and once only for a login that is refused."""
    from client.cluster.api import Cluster
    from client.errors import ClientError, Exit

    for name, value in log_in_with(cluster, tmp_path, answer(token="old")).items():
        monkeypatch.setenv(name, value)
    with closing(Cluster(context=None, namespace=None)) as ours:
        ours.find_all("Pod")
        (tmp_path / "answer").write_text(answer(token="new"))
        cluster.api.refused_token = "Bearer old"
        ours.find_all("Pod")
        cluster.api.refused_token = "Bearer new"
        with pytest.raises(ClientError, match="log in again") as caught:
            ours.find_all("Pod")

    assert ["Bearer old", "Bearer old", "Bearer new", "Bearer new", "Bearer new"] == cluster.api.tokens
    assert Exit.NOT_PERMITTED == caught.value.exit_status


def test_several_files(cluster: MockCluster, tmp_path: Path) -> None:
    """As kubectl takes them, and so does kubectl, which is started with the same variable."""
    (tmp_path / "empty").write_text("")

    status, _, talk = client(cluster, "jobs", "list", KUBECONFIG=f"{tmp_path / 'empty'}:{tmp_path / 'kubeconfig'}")

    assert (0, True) == (status, "Namespace ml has no job yet." in talk)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("cluster", {"certificate-authority-data": "%%%"}),
        ("cluster", {"certificate-authority-data": "bm8gUEVN"}),  # "no PEM"
        ("user", {"client-certificate-data": "bm8gUEVN", "client-key-data": "bm8gUEVN"}),
    ],
)
def test_certificate_that_is_none(cluster: MockCluster, tmp_path: Path, kind: str, entry: dict[str, str]) -> None:
    """The context is named; in a process of its own, as the library leaves files to the garbage collector."""
    configuration = yaml.safe_load(Path(cluster.environment["KUBECONFIG"]).read_text())
    configuration[f"{kind}s"][0][kind].update(entry)
    (tmp_path / "login").write_text(yaml.safe_dump(configuration))

    status, output, talk = client(cluster, "jobs", "list", KUBECONFIG=str(tmp_path / "login"))

    assert (5, "", 1) == (status, output, len(talk.splitlines()))
    assert "There is no cluster to talk to: context test cannot be used" in talk
