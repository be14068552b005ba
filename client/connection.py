# SPDX-License-Identifier: Apache-2.0
"""One channel to one server: a deadline on every call, pings on a quiet stream, and retries of what may be repeated."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

# gRPC's own log lines would stand between a person and the one sentence that explains a failure.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from client.credentials import LOOPBACK
from client.errors import ServerError
from client.interrupts import hold_interrupts
from client.local import ensure_server
from client.output import note
from client.refusals import older_server, to_server_error
from client.settings import Settings
from nas.api.v1 import search_service_pb2
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")

_PROGRESS_SECONDS = 10.0
"""Between two lines about data that is read."""
MAX_MESSAGE_BYTES = 4 * 2**20
KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_MS = 5_000
RECONNECT_MS = (200, 2_000)
"""First and longest pause between two attempts to connect."""

_SERVICE = search_service_pb2.DESCRIPTOR.services_by_name["SearchService"]
# Repeating a unary method changes nothing: StartSearch has its request id, CancelSearch is idempotent by nature.
# Streams are taken up again in client/follow.py, from the last sequence.
_RETRIES = {
    "methodConfig": [
        {
            "name": [
                {"service": _SERVICE.full_name, "method": method.name}
                for method in _SERVICE.methods
                if not method.server_streaming
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Connection:
    """The stub and the rules for calling it; every failure is a ``ServerError``."""

    def __init__(self, channel: grpc.Channel, settings: Settings) -> None:
        self.stub = SearchServiceStub(channel)
        self.address = settings.server
        self._settings = settings

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None = None,
        *,
        waits_for_data: bool = False,
    ) -> Response:
        """Call a method and wait for its answer.

        Args:
            method: of ``stub``.
            request: its request.
            timeout: seconds to wait, if it should be shorter than ``--timeout``.
            waits_for_data: whether the server may have data to prepare first, which takes longer than any answer.

        Raises:
            ServerError: the call failed.
        """
        settings = self._settings
        longest = settings.data_timeout if waits_for_data and settings.data_timeout else settings.timeout
        seconds = longest if timeout is None else min(timeout, longest)
        try:
            if waits_for_data:
                with hold_interrupts():
                    answer = method.future(request, timeout=seconds)
                waited: Response = self._wait_for_data(answer)
                return waited
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise self._explain(error, seconds) from error

    def _wait_for_data(self, answer: Any) -> Any:
        """Wait for an answer, and say now and then how far the server is with reading data."""
        said = ""
        try:
            while True:
                try:
                    return answer.result(timeout=_PROGRESS_SECONDS)
                except grpc.FutureTimeoutError:
                    sentence = self._progress()
                    if sentence and sentence != said:
                        note(sentence)
                        said = sentence
        except BaseException:
            answer.cancel()
            raise

    def _progress(self) -> str:
        """How far the server is; empty if it reads nothing, or is too old to tell."""
        try:
            found = self.stub.GetPreparation(search_service_pb2.GetPreparationRequest(), timeout=_PROGRESS_SECONDS)
        except grpc.RpcError:
            return ""
        if not found.dataset:
            return ""
        return f"Reading {found.dataset}: {found.done_count:,} of {found.total_count:,} files."

    def stream(self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request) -> Iterator[Response]:
        """Call a method and yield its answers; leaving the iterator ends the call.

        Raises:
            ServerError: the stream broke.
        """
        with hold_interrupts():
            answers = method(request)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise self._explain(error, self._settings.timeout) from error
        finally:
            answers.cancel()

    def _explain(self, error: grpc.RpcError, timeout: float) -> ServerError:
        """Translate what a call raised; a server that lacks a method is asked what it is."""
        found = to_server_error(
            error,
            address=self.address,
            timeout=timeout,
            way=self._settings.spell(),
            is_secure=self._settings.credentials.is_secure,
        )
        if found.status != grpc.StatusCode.UNIMPLEMENTED.name:
            return found
        try:
            info = self.stub.GetServerInfo(search_service_pb2.GetServerInfoRequest(), timeout=timeout)
        except grpc.RpcError:
            return found
        return older_server(self.address, info.version)


@contextmanager
def connect(settings: Settings) -> Iterator[Connection]:
    """Open a channel; nothing is sent before the first call. With ``--local`` the server is started if need be.

    Raises:
        ClientError: with ``--local``, there is no server to be had; or the credentials cannot be used.
    """
    if settings.state_dir is not None:
        settings = replace(settings, server=ensure_server(settings.state_dir))
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS[0]),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS[1]),
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.service_config", json.dumps(_RETRIES)),
        # A proxy named in the environment cannot reach this machine's own loopback.
        ("grpc.enable_http_proxy", int(not settings.server.startswith(LOOPBACK))),
    ]
    with settings.credentials.open_channel(settings.server, options) as channel:
        yield Connection(channel, settings)
