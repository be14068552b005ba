# SPDX-License-Identifier: Apache-2.0
"""Credential plugins: the program that a kubeconfig names under ``exec`` says who the user is.

The protocol is ``client.authentication.k8s.io`` of Kubernetes, of which the library knows only the versions before v1
(lightkube 1.0.1). Cloud tools write v1 and v1beta1.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from client.cluster.kubeconfig import Choice, Entry
from client.errors import ClientError, Exit

GROUP = "client.authentication.k8s.io"
VERSIONS = tuple(f"{GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a plugin answered: a token, a certificate with its key, or both.

    Attributes:
        token: for the header ``Authorization``; empty if there is none.
        certificate: PEM text of the user's certificate; empty if there is none.
        key: PEM text of its key.
    """

    token: str = ""
    certificate: str = ""
    key: str = ""

    def user(self) -> Entry:
        """The user of a kubeconfig with this certificate."""
        if not self.certificate:
            return {}
        return {
            "client-certificate-data": base64.b64encode(self.certificate.encode()).decode(),
            "client-key-data": base64.b64encode(self.key.encode()).decode(),
        }


def ask(choice: Choice) -> Credential:
    """Run the plugin of a context's user.

    Raises:
        ClientError: it is not there, it failed, or its answer is none; says what to do.
    """
    wanted = choice.user["exec"]
    who = f"Context {choice.context} logs in with a program"
    if not isinstance(wanted, dict) or not wanted.get("command"):
        raise _refusal(f"{who}, but its kubeconfig names none under exec.")
    if wanted.get("apiVersion") not in VERSIONS:
        raise _refusal(f"{who} of version {wanted.get('apiVersion')}; known are {', '.join(VERSIONS)}.")
    program = _find(str(wanted["command"]), choice.folder)
    if program is None:
        hint = " ".join(str(wanted.get("installHint") or "").split())
        raise _refusal(f"{who}, {wanted['command']}, which is not on this machine; install it. {hint}".rstrip())
    is_interactive = sys.stdin is not None and sys.stdin.isatty() and wanted.get("interactiveMode") != "Never"
    if wanted.get("interactiveMode") == "Always" and not is_interactive:
        raise _refusal(f"{who}, {wanted['command']}, that asks questions; run this in a terminal.")
    answer = _run([program, *map(str, wanted.get("args") or ())], choice, is_interactive=is_interactive)
    return _read(answer, wanted)


class PluginTransport(httpx2.BaseTransport):
    """Sends requests as the user whom a plugin names, and asks the plugin again when the cluster says 401."""

    def __init__(self, ask: Callable[[], Credential], make: Callable[[Credential], httpx2.BaseTransport]) -> None:
        """Prepare; the plugin is run with the first request.

        Args:
            ask: runs the plugin.
            make: opens connections with the certificate of a credential.
        """
        self._ask = ask
        self._make = make
        self._credential: Credential | None = None
        self._inner: httpx2.BaseTransport | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, twice if the credential had expired.

        Raises:
            ClientError: the plugin says no.
        """
        is_fresh = self._inner is None
        response = self._send(request)
        if response.status_code == 401 and not is_fresh:
            response.close()
            self.close()
            response = self._send(request)
        return response

    def close(self) -> None:
        """Forget the credential and close the connections that were made with it."""
        if self._inner is not None:
            self._inner.close()
        self._inner = None

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        if self._inner is None or self._credential is None:
            self._credential = self._ask()
            self._inner = self._make(self._credential)
        if self._credential.token:
            request.headers["Authorization"] = f"Bearer {self._credential.token}"
        return self._inner.handle_request(request)


def _find(command: str, folder: Path) -> str | None:
    """Where the program is: beside the kubeconfig if it is a relative path, else on PATH."""
    return shutil.which(str(folder / command) if os.sep in command else command)


def _run(command: list[str], choice: Choice, *, is_interactive: bool) -> str:
    environment = {**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(_question(choice, is_interactive=is_interactive))}
    for variable in choice.user["exec"].get("env") or ():
        environment[str(variable["name"])] = str(variable["value"])
    try:
        finished = subprocess.run(
            command,
            stdin=None if is_interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if is_interactive else subprocess.PIPE,  # it may ask for a password, or name a page to open
            text=True,
            errors="replace",
            env=environment,
            check=False,
        )
    except OSError as error:
        raise _refusal(
            f"The login program {command[0]} of context {choice.context} does not start: {error}."
        ) from error
    if finished.returncode:
        said = " ".join((finished.stderr or "").split())[-500:].rstrip(".")
        sentence = (
            f"The login program {command[0]} of context {choice.context} failed with status {finished.returncode}"
        )
        raise _refusal(f"{sentence}; log in again{f': {said}' if said else ''}.")
    return finished.stdout


def _question(choice: Choice, *, is_interactive: bool) -> Entry:
    wanted = choice.user["exec"]
    spec: Entry = {"interactive": is_interactive}
    if wanted.get("provideClusterInfo"):
        names = {"server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"}
        spec["cluster"] = {name: value for name, value in choice.cluster.items() if name in names}
    return {"apiVersion": wanted["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _read(answer: str, wanted: Entry) -> Credential:
    program = wanted["command"]
    try:
        document: Any = json.loads(answer)
    except ValueError as error:
        raise _refusal(f"The login program {program} answered with something that is no JSON.") from error
    if not isinstance(document, dict) or document.get("apiVersion") != wanted["apiVersion"]:
        version = document.get("apiVersion") if isinstance(document, dict) else None
        raise _refusal(f"The login program {program} answered in version {version}, not {wanted['apiVersion']}.")
    status = document.get("status")
    status = status if isinstance(status, dict) else {}
    credential = Credential(
        token=str(status.get("token") or ""),
        certificate=str(status.get("clientCertificateData") or ""),
        key=str(status.get("clientKeyData") or ""),
    )
    if not credential.token and not (credential.certificate and credential.key):
        raise _refusal(f"The login program {program} answered without a token or a certificate; log in again.")
    return credential


def _refusal(sentence: str) -> ClientError:
    return ClientError(sentence, Exit.NOT_PERMITTED)
