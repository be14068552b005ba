# SPDX-License-Identifier: Apache-2.0
"""A server of this process with its real front door, and callers with every kind of credentials."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from authority import Authority
from control_plane import ControlPlane, running

from server.config import Settings
from server.files import StateFiles
from server.front import Front
from server.rpc.activity import Activity
from server.rpc.dispatch import Desk, make_handler
from server.rpc.quotas import Quotas
from server.rpc.servicer import SERVICE, SearchServicer

READ_TOKEN, WRITE_TOKEN, WRONG_TOKEN = "canary-read-8d1f", "canary-write-77aa", "canary-wrong-0000"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every file that a server or a caller can be given, made in one folder."""

    folder: Path
    ours: Authority = field(init=False)
    others: Authority = field(init=False)
    server: tuple[Path, Path] = field(init=False)
    tokens: Path = field(init=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "ours", Authority(self.folder, "ours"))
        set_(self, "others", Authority(self.folder, "others"))
        set_(self, "server", self.ours.issue("server"))
        set_(self, "tokens", self.folder / "tokens")
        self.tokens.write_text(line("ann", "write", WRITE_TOKEN) + line("grafana", "read", READ_TOKEN))

    def settings(self, *, tls: bool = False, client_ca: bool = False, tokens: bool = False, **more: Any) -> Settings:
        """The settings of a server."""
        cert, key = self.server
        return Settings(
            state_dir=self.folder,
            metrics_listen="off",
            tls_cert=cert if tls else None,
            tls_key=key if tls else None,
            tls_client_ca=self.ours.path if client_ca else None,
            token_file=self.tokens if tokens else None,
            **more,
        )

    def trust(self, certificate: tuple[Path, Path] | None = None) -> grpc.ChannelCredentials:
        """Credentials of a TLS client, with a client certificate if one is given."""
        shown = (certificate[1].read_bytes(), certificate[0].read_bytes()) if certificate else (None, None)
        return grpc.ssl_channel_credentials(self.ours.path.read_bytes(), *shown)


def line(name: str, role: str, token: str) -> str:
    """A line of a file of tokens."""
    return f"{name} {role} {hashlib.sha256(token.encode()).hexdigest()}\n"


def bearer(token: str | None) -> Sequence[tuple[str, str]]:
    """The metadata that carry a token."""
    return () if token is None else (("authorization", f"Bearer {token}"),)


def here(address: str) -> str:
    """Replace a wildcard address (0.0.0.0, [::]) by one that a client can connect to."""
    return f"127.0.0.1:{address.rpartition(':')[2]}"


def make_front(plane: ControlPlane, settings: Settings) -> Front:
    """The front door of a control plane."""
    activity = Activity()
    quotas = Quotas(max_streams=settings.max_streams, max_starts=settings.max_starts)
    servicer = SearchServicer(
        registry=plane.registry,
        hub=plane.hub,
        files=StateFiles(plane.folder),
        preparation=plane.preparation,
        version="0.0.0",
    )
    handler = make_handler(SERVICE, servicer, Desk(activity=activity, quotas=quotas))

    async def render() -> bytes:
        return b""

    return Front(settings, handler, activity, render)


@asynccontextmanager
async def guarded(plane: ControlPlane, settings: Settings) -> AsyncIterator[str]:
    """Serve a control plane as ``settings`` say; yields the address as this machine reaches it."""
    front = make_front(plane, settings)
    async with running(plane):
        try:
            await front.reserve()
            await front.open()
            yield here(front.places["address"])
            plane.hub.close()
            await front.close()
        finally:
            await front.leave()


@asynccontextmanager
async def calling(address: str, credentials: grpc.ChannelCredentials | None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel with TLS, or in plaintext."""
    if credentials is None:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
    else:
        async with grpc.aio.secure_channel(address, credentials) as channel:
            yield channel
