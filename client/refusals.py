# SPDX-License-Identifier: Apache-2.0
"""A failed call as one sentence and one exit status.

What the server says itself carries a ``google.rpc.ErrorInfo`` of the domain "nas" and is already a sentence for a
person. Anything else comes from gRPC or a proxy on the way and gets a sentence here, chosen by its status, never by its
text.
"""

from __future__ import annotations

from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from client.errors import Exit, ServerError
from client.versions import client_version, is_older

DOMAIN = "nas"
_DETAILS_KEY = "grpc-status-details-bin"

EXITS = {
    grpc.StatusCode.INVALID_ARGUMENT: Exit.USAGE,
    grpc.StatusCode.OUT_OF_RANGE: Exit.USAGE,
    grpc.StatusCode.ALREADY_EXISTS: Exit.USAGE,
    grpc.StatusCode.FAILED_PRECONDITION: Exit.USAGE,
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    grpc.StatusCode.PERMISSION_DENIED: Exit.NOT_PERMITTED,
    grpc.StatusCode.UNAUTHENTICATED: Exit.NOT_PERMITTED,
}
"""Exit status of each gRPC status; every other one is unexpected."""

_SENTENCES = {
    grpc.StatusCode.UNAVAILABLE: (
        "No server answers at {address}; start one with `nas-server serve`, name another with --server, or use --local."
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "The server at {address} did not answer within {timeout:g} s; try again, or allow more time with --timeout."
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        "What answers at {address} does not know this request: it is no nas-server, or one of another version."
    ),
    grpc.StatusCode.PERMISSION_DENIED: "The server at {address} does not permit this: {details}",
    grpc.StatusCode.UNAUTHENTICATED: "The server at {address} does not know who asks: {details}",
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        "The server at {address} has no room for this, or its answer is too large: {details}"
    ),
}


_NO_TLS = "No server answers at {address} over TLS, or none whose certificate --tls-ca vouches for: {details}."


def to_server_error(
    error: grpc.RpcError, *, address: str, timeout: float, way: str = "", is_secure: bool = False
) -> ServerError:
    """Translate what a call raised.

    Args:
        error: as raised by a stub; it is a ``grpc.Call``, too.
        address: where the server was looked for.
        timeout: seconds that the call was given.
        way: options that lead to the server; a command that its sentence names needs them, too.
        is_secure: whether TLS was spoken.
    """
    call = cast("grpc.Call", error)
    code = call.code()
    details = call.details() or ""
    reason = _reason(call)
    if reason:
        message = details.replace("'nas-client ", f"'nas-client {way}")
    else:
        sentence = _SENTENCES.get(code, "The server at {address} answered {code}: {details}")
        if is_secure and code is grpc.StatusCode.UNAVAILABLE:
            sentence = _NO_TLS
        message = sentence.format(address=address, timeout=timeout, code=code.name, details=details)
    return ServerError(message, EXITS.get(code, Exit.UNEXPECTED), status=code.name, reason=reason)


def older_server(address: str, version: str) -> ServerError:
    """Say that a server lacks a method that this client calls."""
    remedy = "upgrade the server" if is_older(version) else "use a client and a server of the same version"
    return ServerError(
        f"The server at {address} is version {version} and cannot do this; this client is version {client_version()}: "
        f"{remedy}.",
        Exit.UNEXPECTED,
        status=grpc.StatusCode.UNIMPLEMENTED.name,
        reason="",
    )


def _reason(call: grpc.Call) -> str:
    """The reason of the server's ``ErrorInfo``; empty if the server did not speak."""
    for key, value in call.trailing_metadata() or ():
        if key != _DETAILS_KEY or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return str(info.reason)
    return ""
