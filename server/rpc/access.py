# SPDX-License-Identifier: Apache-2.0
"""Who may call what: every method has a rule here, and a method without one is refused.

Where tokens are configured each call needs one, health checks and reflection included. Where only certificates of
clients are asked for, TLS has refused everybody else before a call arrives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from structlog.contextvars import bind_contextvars

from server.rpc.activity import Activity, note_peer
from server.rpc.errors import AccessError, NotPermittedError, UnauthenticatedError, to_public, to_status
from server.tokens import Caller, Role, Tokens

_API = "/nas.api.v1.SearchService/"
RULES: dict[str, Role] = {
    f"{_API}StartSearch": Role.WRITE,
    f"{_API}CancelSearch": Role.WRITE,
    f"{_API}PauseSearch": Role.WRITE,
    f"{_API}ResumeSearch": Role.WRITE,
    f"{_API}DeleteSearch": Role.WRITE,
    f"{_API}CheckDataset": Role.WRITE,  # its answer names files, and a file's name may be a patient's
    f"{_API}GetSearch": Role.READ,
    f"{_API}ListSearches": Role.READ,
    f"{_API}WatchSearch": Role.READ,
    f"{_API}ExportModel": Role.READ,
    f"{_API}ReadLog": Role.READ,
    f"{_API}ListChildren": Role.READ,
    f"{_API}GetChild": Role.READ,
    f"{_API}ListDatasets": Role.READ,
    f"{_API}GetPreparation": Role.READ,
    f"{_API}GetServerInfo": Role.READ,
    "/grpc.health.v1.Health/Check": Role.READ,
    "/grpc.health.v1.Health/List": Role.READ,
    "/grpc.health.v1.Health/Watch": Role.READ,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READ,
}
"""The role that each method asks for, by its full name."""

ANYBODY = Caller(name="", role=Role.WRITE)
"""The caller of a server that asks for no token."""
CALLER: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)
"""Who makes the call that is being answered."""

_NAME_CHARACTERS = 64
_SCHEME = "bearer "
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class Guard(grpc.aio.ServerInterceptor):
    """Lets a call pass, with its caller in ``CALLER``, or refuses it."""

    def __init__(self, tokens: Tokens | None, activity: Activity) -> None:
        """Take the tokens, None if none are asked for."""
        self._tokens = tokens
        self._activity = activity

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Decide about one call."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        try:
            caller = self._identify(handler_call_details.invocation_metadata)
            CALLER.set(caller)
            if handler is not None:
                require(method, caller)
        except AccessError as error:
            return self._refusal(method, error)
        return handler

    def _identify(self, metadata: Any) -> Caller:
        if self._tokens is None:
            return ANYBODY
        given = [value for key, value in metadata or () if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].lower().startswith(_SCHEME):
            raise UnauthenticatedError("a token is missing; nas-client takes one with --token-file")
        caller = self._tokens.find(given[0][len(_SCHEME) :])
        if caller is None:
            raise UnauthenticatedError("the token is none that this server knows; ask its operator for one")
        return caller

    def _refusal(self, method: str, error: AccessError) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler that ends the call, whatever its kind, before its request is read."""
        public = to_public(error)
        assert public is not None  # noqa: S101 - all of them are in the catalogue

        async def refuse(_requests: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            note_peer(context)
            self._activity.end(method if method in RULES else "", public, seconds=0.0)
            await context.abort_with_status(to_status(public))

        return grpc.stream_stream_rpc_method_handler(refuse)


def welcome(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Find out who makes a call that has passed, add it to every log line of the call, and return the principal."""
    caller = CALLER.get()
    if not caller.name and (name := _certified_name(context)):
        caller = Caller(name=name, role=caller.role)
        CALLER.set(caller)
    note_peer(context)
    bind_contextvars(principal=caller.name)
    return caller.name


def _certified_name(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the name in the client's certificate; empty without one."""
    found = context.auth_context()
    names = found.get("x509_common_name") or found.get("x509_subject_alternative_name") or ()
    text = next(iter(names), b"").decode(errors="replace")
    return "".join(character for character in text[:_NAME_CHARACTERS] if character.isprintable())


def require(method: str, caller: Caller) -> None:
    """Check whether a caller may call a method.

    Raises:
        NotPermittedError: the method has no rule, or asks for another role.
    """
    needed = RULES.get(method)
    if needed is None:
        raise NotPermittedError("nobody may call this method: it has no rule")
    if needed is Role.WRITE and caller.role is not Role.WRITE:
        raise NotPermittedError(f"{caller.name} may only look; ask the operator for a token with the role write")
