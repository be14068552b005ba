# SPDX-License-Identifier: Apache-2.0
"""Which cluster to talk to, and as whom: the files that kubectl reads, merged as kubectl merges them.

Each fault of such a file is one sentence. The library's own reader takes one file only and answers most faults with
whatever Python raises (lightkube 1.0.1); kubectl itself is not asked, as ``jobs list`` and ``submit --detach`` work on
machines without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from client.errors import ClientError, Exit

DEFAULT_FILE = "~/.kube/config"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own identity."""

_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_FILES_OF_CLUSTERS = ("certificate-authority",)
_FILES_OF_USERS = ("client-certificate", "client-key", "tokenFile")

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One context with what it stands for; paths in it are absolute.

    Attributes:
        context: name of the context.
        namespace: of the context; "default" if it names none.
        cluster: as in the file: ``server``, ``certificate-authority`` and so on.
        user: as in the file: ``token``, ``exec`` and so on; empty for nobody in particular.
        folder: of the file that the user stands in; a credential plugin's path starts there.
    """

    context: str
    namespace: str
    cluster: Entry
    user: Entry
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Configuration:
    """All files together: by section and name, an entry and the folder of its file."""

    files: str
    current: str
    entries: Mapping[str, Mapping[str, tuple[Entry, Path]]]


def refusal(text: str) -> ClientError:
    """The error of a configuration that names no cluster."""
    return ClientError(f"There is no cluster to talk to: {text}.", Exit.UNAVAILABLE)


def choose(context: str | None) -> Choice:
    """Read the configuration and choose a context, the current one by default.

    ``KUBECONFIG`` may name several files, of which the first to mention something counts; without it and without
    ``~/.kube/config`` a pod uses its own service account.

    Raises:
        ClientError: there is none, or it cannot be used; says which file or entry, and why.
    """
    paths = [Path(name).expanduser() for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    paths = paths or [Path(DEFAULT_FILE).expanduser()]
    found = [path for path in paths if path.exists()]
    if not found:
        if (SERVICE_ACCOUNT / "token").exists() and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _own_identity()
        sentence = f"configuration file {_names(paths)} not found; KUBECONFIG names the file that kubectl uses"
        raise refusal(sentence)
    return _choose(_merge(found), context)


def _merge(paths: list[Path]) -> _Configuration:
    entries: dict[str, dict[str, tuple[Entry, Path]]] = {section: {} for section in _SECTIONS}
    current = ""
    for path in paths:
        document = _read(path)
        current = current or str(document.get("current-context") or "")
        for section, kind in _SECTIONS.items():
            for name, entry in _entries(document, section, kind, path):
                entries[section].setdefault(name, (entry, path.parent))
    return _Configuration(files=_names(paths), current=current, entries=entries)


def _read(path: Path) -> Entry:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refusal(f"configuration file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise refusal(f"configuration file {path} is no text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "nothing that a parser understands"
        raise refusal(f"configuration file {path}{place} is no YAML: {what}") from error
    if document is None:
        return {}  # as kubectl sees an empty file
    if not isinstance(document, dict):
        raise refusal(
            f"configuration file {path} is no kubeconfig: it holds {_kind_of(document)}, not clusters and users"
        )
    return document


def _entries(document: Entry, section: str, kind: str, path: Path) -> list[tuple[str, Entry]]:
    listed = document.get(section) or []
    if not isinstance(listed, list):
        raise refusal(f"configuration file {path} is no kubeconfig: {section} is {_kind_of(listed)}, not a list")
    found = []
    for item in listed:
        entry = item.get(kind) if isinstance(item, dict) else None
        if not isinstance(item, dict) or "name" not in item or not isinstance(entry or {}, dict):
            raise refusal(f"configuration file {path} is no kubeconfig: an entry of {section} has no name or no {kind}")
        found.append((str(item["name"]), dict(entry or {})))
    return found


def _choose(configuration: _Configuration, wanted: str | None) -> Choice:
    contexts = configuration.entries["contexts"]
    name = wanted or configuration.current
    there = f"there are {', '.join(sorted(contexts))}" if contexts else f"there is none in {configuration.files}"
    if not name:
        raise refusal(f"no context is chosen; {there}; choose one with --context or `kubectl config use-context`")
    if name not in contexts:
        raise refusal(f"Context '{name}' not found; {there}")
    context, _ = contexts[name]
    cluster, cluster_folder = _named(configuration, "clusters", context.get("cluster"), name)
    nobody: tuple[Entry, Path] = ({}, cluster_folder)
    user, folder = _named(configuration, "users", context["user"], name) if context.get("user") else nobody
    if not isinstance(cluster.get("server"), str):
        raise refusal(f"cluster {context['cluster']} of context {name} has no server in {configuration.files}")
    return Choice(
        context=name,
        namespace=str(context.get("namespace") or "default"),
        cluster=_with_files(cluster, _FILES_OF_CLUSTERS, cluster_folder, f"cluster {context['cluster']}"),
        user=_with_files(user, _FILES_OF_USERS, folder, f"user {context.get('user')}"),
        folder=folder,
    )


def _named(configuration: _Configuration, section: str, name: object, context: str) -> tuple[Entry, Path]:
    kind = _SECTIONS[section]
    if not name:
        raise refusal(f"context {context} names no {kind} in {configuration.files}")
    found = configuration.entries[section].get(str(name))
    if found is None:
        raise refusal(f"context {context} names {kind} {name}, which is not in {configuration.files}")
    return found


def _with_files(entry: Entry, keys: tuple[str, ...], folder: Path, owner: str) -> Entry:
    """The entry with absolute paths, all of which can be read."""
    changed = dict(entry)
    for key in keys:
        if not entry.get(key):
            continue
        path = folder / str(entry[key])
        try:
            path.open("rb").close()
        except OSError as error:
            raise refusal(f"{key} {path} of {owner} cannot be read: {error.strerror}") from error
        changed[key] = str(path.absolute())
    return changed


def _own_identity() -> Choice:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    try:
        namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        namespace = "default"
    return Choice(
        context="the pod's own service account",
        namespace=namespace,
        cluster={"server": f"https://{host}:{port}", "certificate-authority": str(SERVICE_ACCOUNT / "ca.crt")},
        user={"tokenFile": str(SERVICE_ACCOUNT / "token")},
        folder=SERVICE_ACCOUNT,
    )


def _kind_of(value: object) -> str:
    match value:
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case str():
            return "a text"
        case _:
            return "a single value"


def _names(paths: list[Path]) -> str:
    return " and ".join(str(path) for path in paths)
