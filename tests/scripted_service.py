# SPDX-License-Identifier: Apache-2.0
"""A real gRPC server for tests of the client, which answers what the test prescribes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from nas.api.v1 import event_pb2, search_service_pb2

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is an error; without a reason it looks like one of gRPC's own."""

    code: grpc.StatusCode
    message: str = "no"
    reason: str = ""
    domain: str = "nas"


@dataclass(frozen=True, slots=True)
class Open:
    """Keep the stream open until the client leaves or the server ends."""


@dataclass(slots=True)
class Script:
    """What the server answers, and what it was asked.

    Attributes:
        answers: a list of messages, refusals and ``Open()`` for each method; the last one is given again and again.
        streams: what each call of WatchSearch sends; the last one is sent again and again.
        requests: every request in order.
        patience: the deadline of the last call of each method, in seconds.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    streams: list[Sequence[Message | Refusal | Open]] = field(default_factory=list)
    requests: list[Message] = field(default_factory=list)
    patience: dict[str, float] = field(default_factory=dict)

    def asked(self, kind: type[Message]) -> list[Any]:
        """The requests of one kind."""
        return [request for request in self.requests if isinstance(request, kind)]


def handlers(script: Script) -> grpc.GenericRpcHandler:
    """Every method of SearchService, played from a script."""
    service = search_service_pb2.DESCRIPTOR.services_by_name["SearchService"]
    methods = {}
    for method in service.methods:
        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        methods[method.name] = kind(
            _stream(script) if method.server_streaming else _answer(script, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _answer(script: Script, name: str) -> Any:
    async def answer(request: Message, context: Context) -> Message:
        script.requests.append(request)
        script.patience[name] = context.time_remaining()
        queue = script.answers[name]
        item = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(item, Message):
            return item
        await _act(context, item)
        raise AssertionError("the call was to end with an error")

    return answer


def _stream(script: Script) -> Any:
    async def stream(request: Message, context: Context) -> AsyncIterator[Message]:
        script.requests.append(request)
        for item in script.streams.pop(0) if len(script.streams) > 1 else script.streams[0]:
            match item:
                case event_pb2.Event():
                    yield search_service_pb2.WatchSearchResponse(event=item)
                case search_service_pb2.Heartbeat():
                    yield search_service_pb2.WatchSearchResponse(heartbeat=item)
                case Refusal() | Open():
                    await _act(context, item)

    return stream


async def _act(context: Context, item: Refusal | Open) -> None:
    if isinstance(item, Open):
        await asyncio.get_running_loop().create_future()
    else:
        await _refuse(context, item)


async def _refuse(context: Context, refusal: Refusal) -> None:
    metadata: tuple[tuple[str, bytes], ...] = ()
    if refusal.reason:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(domain=refusal.domain, reason=refusal.reason))
        status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message, details=[detail])
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(refusal.code, refusal.message, metadata)


class ScriptedServer:
    """Serves a script from a thread of its own; a context manager."""

    def __init__(self, script: Script, listen: str = "127.0.0.1:0") -> None:
        self._script = script
        self._listen = listen
        self._bound: Future[int] = Future()
        self._stop: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        self._bound.result(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._listen if self._listen.startswith("unix:") else f"127.0.0.1:{self._bound.result()}"

    def stop(self) -> None:
        """End it at once, open streams included; stopping twice changes nothing."""
        if not self._stop.done():
            self._stop.set_result(None)
        self._thread.join(30)

    async def _serve(self) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((handlers(self._script),))
        try:
            port = server.add_insecure_port(self._listen)
            await server.start()
        except BaseException as error:
            self._bound.set_exception(error)
            raise
        self._bound.set_result(port)
        await asyncio.wrap_future(self._stop)
        await server.stop(None)
