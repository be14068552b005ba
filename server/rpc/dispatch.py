# SPDX-License-Identifier: Apache-2.0
"""Between gRPC and the servicer: parse, call, translate errors, write one log line a call.

gRPC's own parsing and error handling would answer UNKNOWN with the text of any exception, so neither is used.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from server.rpc.activity import Activity
from server.rpc.errors import InvalidRequestError, PublicError, to_public, to_status

Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger("nas.rpc")


def make_handler(service: ServiceDescriptor, servicer: object, activity: Activity) -> grpc.GenericRpcHandler:
    """Bind every method of ``service`` to the method of ``servicer`` that has its name."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name), activity) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(method: MethodDescriptor, call: Callable[..., Any], activity: Activity) -> grpc.RpcMethodHandler[Any, Any]:
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            _guard_stream(method, call, activity), response_serializer=_serialise
        )
    return grpc.unary_unary_rpc_method_handler(_guard_unary(method, call, activity), response_serializer=_serialise)


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


def _parse(method: MethodDescriptor, payload: bytes) -> Message:
    try:
        return GetMessageClass(method.input_type).FromString(payload)
    except DecodeError as error:
        raise InvalidRequestError("INVALID_REQUEST", f"the request is no {method.input_type.name}") from error


def _guard_unary(
    method: MethodDescriptor, call: Callable[[Any], Awaitable[Message]], activity: Activity
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def guarded(payload: bytes, context: Context) -> Message:
        start = time.monotonic()
        try:
            with activity.call():
                response = await call(_parse(method, payload))
        except (Exception, asyncio.CancelledError) as error:
            await _refuse(method, context, error, start, activity)
        _note_end(method, activity, start, code="OK")
        return response

    return guarded


def _guard_stream(
    method: MethodDescriptor, call: Callable[[Any], AsyncGenerator[Message, None]], activity: Activity
) -> Callable[[bytes, Context], AsyncIterator[Message]]:
    async def guarded(payload: bytes, context: Context) -> AsyncIterator[Message]:
        start = time.monotonic()
        try:
            with activity.call():
                async with aclosing(call(_parse(method, payload))) as responses:  # whoever leaves frees it at once
                    async for response in responses:
                        yield response
        except (Exception, asyncio.CancelledError) as error:
            await _refuse(method, context, error, start, activity)
        _note_end(method, activity, start, code="OK")

    return guarded


def _note_end(method: MethodDescriptor, activity: Activity, start: float, *, code: str, **more: str) -> None:
    """Say what became of a call."""
    seconds = time.monotonic() - start
    log.info("rpc", method=method.name, code=code, seconds=round(seconds, 4), **more)
    activity.on_end(method.name, code, seconds)


async def _refuse(
    method: MethodDescriptor, context: Context, error: BaseException, start: float, activity: Activity
) -> NoReturn:
    """End a call with the status that the catalogue gives."""
    if isinstance(error, asyncio.CancelledError):
        if context.cancelled():  # the client has gone; nobody is there to be told
            _note_end(method, activity, start, code="CANCELLED")
            raise error
        public = PublicError(
            code=code_pb2.UNAVAILABLE, reason="SHUTTING_DOWN", message="the call was interrupted; try again"
        )
    else:
        assert isinstance(error, Exception)  # noqa: S101 - nothing else is caught
        public = to_public(error) or _internal(method, error)
    _note_end(method, activity, start, code=code_pb2.Code.Name(public.code), reason=public.reason)
    await context.abort_with_status(to_status(public))
    raise AssertionError("abort returned")


def _internal(method: MethodDescriptor, error: Exception) -> PublicError:
    """Say nothing of an error that is our fault but where to find it in the log."""
    incident = secrets.token_hex(4)
    log.error("rpc_failed", method=method.name, incident=incident, exc_info=error)
    message = f"the server made a mistake; its log has the details under incident {incident}"
    return PublicError(code=code_pb2.INTERNAL, reason="INTERNAL", message=message)
