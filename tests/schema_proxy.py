# SPDX-License-Identifier: Apache-2.0
"""A server of another version: a proxy before a real server that drops everything its own schema does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from schemas import Schema

Context = grpc.ServicerContext
Edit = Callable[[str, Any], list[Any]]
"""``edit(method, response)`` returns what the client is sent in place of an answer; one message, but in a stream."""


def _unchanged(_method: str, response: Any) -> list[Any]:
    return [response]


class SchemaProxy:
    """Serves the methods of a schema by asking a real server; a context manager.

    Attributes:
        requests: what was asked for, as that schema reads it.
    """

    def __init__(
        self, upstream: str, schema: Schema, *, without: tuple[str, ...] = (), edit: Edit = _unchanged
    ) -> None:
        self.requests: list[Any] = []
        self._edit = edit
        self._channel: Any = grpc.insecure_channel(upstream)
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service = schema.service
        handlers = {
            method.name: self._handler(service.full_name, method)
            for method in service.methods
            if method.name not in without
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> SchemaProxy:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait(30)
        self._channel.close()

    def _handler(self, service: str, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        request_class, response_class = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        path = f"/{service}/{method.name}"

        def read(payload: bytes) -> bytes:
            request = request_class.FromString(payload)
            request.DiscardUnknownFields()
            self.requests.append(request)
            return request.SerializeToString()

        def answer(payload: bytes) -> Iterator[bytes]:
            response = response_class.FromString(payload)
            response.DiscardUnknownFields()
            for edited in self._edit(method.name, response):
                yield edited.SerializeToString()

        def ask(request: bytes, context: Context) -> bytes:
            with _passing_on(context):
                return next(answer(self._channel.unary_unary(path)(request)))
            raise AssertionError("abort returned")

        def stream(request: bytes, context: Context) -> Iterator[bytes]:
            call = self._channel.unary_stream(path)(request)
            context.add_callback(call.cancel)
            with _passing_on(context):
                for payload in call:
                    yield from answer(payload)

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, request_deserializer=read)
        return grpc.unary_unary_rpc_method_handler(ask, request_deserializer=read)


class _passing_on:
    """Ends a call as the real server ended it, details included."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, grpc.RpcError):
            call: Any = error
            self._context.set_trailing_metadata(tuple(call.trailing_metadata() or ()))
            self._context.abort(call.code(), call.details() or "")
