# SPDX-License-Identifier: Apache-2.0
"""From a context of a kubeconfig to the library's client."""

from __future__ import annotations

import functools
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import httpx2
from lightkube import Client, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from client.cluster.kubeconfig import Choice, Entry, refusal
from client.cluster.plugin import Credential, PluginTransport, ask

TIMEOUT_SECONDS = 30.0


def connect_to(choice: Choice) -> Client:
    """Make a client; nothing is asked of the cluster yet, and no credential plugin is run.

    Raises:
        ClientError: a certificate, a key or another setting of the context cannot be used.
    """
    own: dict[str, Any] = {"timeout": httpx2.Timeout(TIMEOUT_SECONDS), "proxy": _proxy(choice, is_asked=False)}
    try:
        if choice.user.get("exec"):
            make = functools.partial(_transport, choice)
            own = {**own, "proxy": None, "transport": PluginTransport(functools.partial(ask, choice), make)}
        return Client(config=_single(choice, without_plugin(choice.user)), **own)
    except (ConfigError, OSError, ValueError) as error:  # certificates that are none: ssl.SSLError, binascii.Error
        raise refusal(f"context {choice.context} cannot be used: {str(error).rstrip('.')}") from error


def without_plugin(user: Entry) -> Entry:
    """A user of a kubeconfig whose plugin is not the library's business."""
    return {name: value for name, value in user.items() if name != "exec"}


def _single(choice: Choice, user: Entry) -> SingleConfig:
    name = choice.context
    cluster = {key: value for key, value in choice.cluster.items() if value is not None}
    document = {
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    found = KubeConfig.from_dict(document).get()
    if found is None:
        raise ConfigError("no context is chosen")
    return found


def _transport(choice: Choice, credential: Credential) -> httpx2.BaseTransport:
    """Connections that present a credential's certificate, if it has one."""
    try:
        config = _single(choice, {**without_plugin(choice.user), **credential.user()})
        context = verify_cluster(config.cluster, config.user or User(), config.abs_file)
    except (ConfigError, OSError, ValueError) as error:
        raise refusal(f"the certificate of context {choice.context} cannot be used: {error}") from error
    return httpx2.HTTPTransport(verify=context, proxy=_proxy(choice, is_asked=True))


def _proxy(choice: Choice, *, is_asked: bool) -> str | None:
    """The proxy of the kubeconfig, or with ``is_asked`` that of the environment, which the library finds by itself."""
    given = choice.cluster.get("proxy-url")
    if given or not is_asked:
        return str(given) if given else None
    parts = urlsplit(str(choice.cluster["server"]))
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    found = urllib.request.getproxies()
    return found.get(parts.scheme) or found.get("all")
