# SPDX-License-Identifier: Apache-2.0
"""Between gRPC and the servicer: parse, call, translate errors, write one log line per call.

gRPC's own parsing and error handling would answer UNKNOWN with the text of any exception, so neither is used.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from server.rpc.access import welcome
from server.rpc.activity import Activity, bind_ids
from server.rpc.errors import InvalidRequestError, PublicError, to_public, to_status
from server.rpc.quotas import Quotas

Context = grpc.aio.ServicerContext[Any, Any]

_START = "StartSearch"
_GONE = PublicError(code=code_pb2.CANCELLED, reason="CLIENT_GONE", message="")
"""Status in the log and the metrics of a call whose caller has left."""

log = structlog.get_logger("nas.rpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every call goes through.

    Attributes:
        activity: counts the call and writes its log line.
        quotas: says whether the caller may make one more call.
    """

    activity: Activity
    quotas: Quotas = field(default_factory=Quotas)


def make_handler(service: ServiceDescriptor, servicer: object, desk: Desk) -> grpc.GenericRpcHandler:
    """Bind every method of ``service`` to the method of ``servicer`` that has its name."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name), desk) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(method: MethodDescriptor, call: Callable[..., Any], desk: Desk) -> grpc.RpcMethodHandler[Any, Any]:
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_guard_stream(method, call, desk), response_serializer=_serialise)
    return grpc.unary_unary_rpc_method_handler(_guard_unary(method, call, desk), response_serializer=_serialise)


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


def _parse(method: MethodDescriptor, payload: bytes) -> Message:
    try:
        return GetMessageClass(method.input_type).FromString(payload)
    except DecodeError as error:
        raise InvalidRequestError("INVALID_REQUEST", f"the request is no {method.input_type.name}") from error


def _guard_unary(
    method: MethodDescriptor, call: Callable[[Any], Awaitable[Message]], desk: Desk
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def guarded(payload: bytes, context: Context) -> Message:
        start = time.monotonic()
        try:
            with desk.activity.call():
                principal = welcome(context)
                if method.name == _START:
                    desk.quotas.start(principal)
                response = await call(_read(method, payload))
        except (Exception, asyncio.CancelledError) as error:
            if _has_left(error):
                desk.activity.end(method.name, _GONE, seconds=time.monotonic() - start)
                raise
            await _refuse(method, context, error, start, desk)
        if method.name == _START:
            bind_ids(response.search)  # type: ignore[attr-defined]
        desk.activity.end(method.name, None, seconds=time.monotonic() - start)
        return response

    return guarded


def _guard_stream(
    method: MethodDescriptor, call: Callable[[Any], AsyncGenerator[Message, None]], desk: Desk
) -> Callable[[bytes, Context], AsyncIterator[Message]]:
    async def guarded(payload: bytes, context: Context) -> AsyncIterator[Message]:
        start, count = time.monotonic(), 0
        try:
            with desk.activity.call(), desk.quotas.stream(welcome(context)):
                async with aclosing(call(_read(method, payload))) as responses:  # whoever leaves frees it at once
                    async for response in responses:
                        count += 1
                        yield response
        except (Exception, GeneratorExit, asyncio.CancelledError) as error:
            if _has_left(error):
                desk.activity.end(method.name, _GONE, seconds=time.monotonic() - start, messages=count)
                raise
            await _refuse(method, context, error, start, desk, messages=count)
        desk.activity.end(method.name, None, seconds=time.monotonic() - start, messages=count)

    return guarded


def _read(method: MethodDescriptor, payload: bytes) -> Message:
    request = _parse(method, payload)
    bind_ids(request)
    return request


def _has_left(error: BaseException) -> bool:
    """Whether the caller has left, while the call waited or while a message was sent.

    gRPC cancels the call's task then; its context does not say so (grpcio 1.85), and a status all the same would cost
    memory that is never freed. A cancellation from within the server leaves the task as it is.
    """
    task = asyncio.current_task()
    is_cancelled = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
    return is_cancelled or isinstance(error, GeneratorExit)


async def _refuse(
    method: MethodDescriptor, context: Context, error: BaseException, start: float, desk: Desk, **more: int
) -> NoReturn:
    """End a call with the status that the catalogue gives."""
    if isinstance(error, asyncio.CancelledError):
        public = PublicError(
            code=code_pb2.UNAVAILABLE, reason="SHUTTING_DOWN", message="the call was interrupted; try again"
        )
    else:
        assert isinstance(error, Exception)  # noqa: S101 - nothing else is caught
        public = to_public(error) or _internal(method, error)
    desk.activity.end(method.name, public, seconds=time.monotonic() - start, **more)
    await context.abort_with_status(to_status(public))
    raise AssertionError("abort returned")


def _internal(method: MethodDescriptor, error: Exception) -> PublicError:
    """Answer an unexpected error with nothing but the number under which the log has it."""
    incident = secrets.token_hex(4)
    log.error("rpc_failed", method=method.name, incident=incident, exc_info=error)
    message = f"the server made a mistake; its log has the details under incident {incident}"
    return PublicError(code=code_pb2.INTERNAL, reason="INTERNAL", message=message)
