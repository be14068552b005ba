# SPDX-License-Identifier: Apache-2.0
"""The control plane behind a real gRPC server in this process, and a real stub to call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from control_plane import ControlPlane, make_config, request_id, running
from google.rpc import error_details_pb2, status_pb2

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from server.codec.settings import encode_config
from server.files import StateFiles
from server.listening import SERVER_OPTIONS
from server.rpc.activity import Activity
from server.rpc.dispatch import Desk, make_handler
from server.rpc.servicer import SERVICE, SearchServicer

NEVER = 3600.0
"""Seconds between heartbeats in tests that want none."""


@dataclass(slots=True, kw_only=True)
class Served:
    """A server that answers, and how to reach it."""

    plane: ControlPlane
    server: grpc.aio.Server
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        """The generated stub; its type knows synchronous channels only."""
        return SearchServiceStub(self.channel)

    async def start(self, number: int = 1, **changes: Any) -> str:
        """Start a search through the API and return its id."""
        response = await self.stub.StartSearch(start_request(number, **changes))
        return cast(str, response.search.search_id)

    async def watch(self, search_id: str, after_sequence: int = 0) -> list[pb.WatchSearchResponse]:
        """Everything that a watch sends until it ends."""
        request = pb.WatchSearchRequest(search_id=search_id, after_sequence=after_sequence)
        return [response async for response in self.stub.WatchSearch(request)]

    async def stop(self) -> None:
        """Stop as the server does: first the watches, then the other calls."""
        self.plane.hub.close()
        await self.server.stop(1.0)


@asynccontextmanager
async def serving(plane: ControlPlane, *, heartbeat_seconds: float = NEVER) -> AsyncIterator[Served]:
    """Serve a control plane on a free port."""
    servicer = SearchServicer(
        registry=plane.registry,
        hub=plane.hub,
        files=StateFiles(plane.folder),
        preparation=plane.preparation,
        version="0.0.0",
        heartbeat_seconds=heartbeat_seconds,
    )
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((make_handler(SERVICE, servicer, Desk(activity=Activity())),))
    port = server.add_insecure_port("127.0.0.1:0")
    async with running(plane), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await server.start()
        served = Served(plane=plane, server=server, channel=channel)
        try:
            yield served
        finally:
            await served.stop()


def start_request(number: int = 1, **changes: Any) -> pb.StartSearchRequest:
    """Ask for a small search; ``changes`` replaces settings."""
    return pb.StartSearchRequest(config=encode_config(make_config(**changes)), request_id=request_id(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What a client learns from a call that failed."""

    code: str
    reason: str
    message: str
    metadata: dict[str, str]


async def refused(call: Awaitable[Any]) -> Refused:
    """Wait for a call that has to fail; returns its error, which must carry an ErrorInfo of the domain nas."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return explain(caught.value)


def explain(error: grpc.aio.AioRpcError) -> Refused:
    """Read the ErrorInfo of an error of the API."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in trailers, f"{error.code()} without details: {error.details()}"
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert "nas" == info.domain
    assert status.message == error.details()
    return Refused(code=error.code().name, reason=info.reason, message=status.message, metadata=dict(info.metadata))


def make_plane(folder: Path, **options: Any) -> ControlPlane:
    """A control plane in a folder."""
    return ControlPlane(folder=folder, **options)
