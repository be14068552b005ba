# SPDX-License-Identifier: Apache-2.0
"""The one catalogue of errors: total over what can reach the API, and silent about what is our fault."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

import nas.data.errors
import server.engine.errors
import server.hub
import server.journal.base
from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from nas.child import ChildId
from nas.data.errors import DatasetError
from nas.settings import ConfigError
from server.codec.enums import CodecError
from server.engine.errors import EngineError, InvalidSettingError
from server.executor.preparation import DataError
from server.hub import HubError
from server.journal.base import JournalError
from server.rpc.activity import Activity
from server.rpc.dispatch import Desk, make_handler
from server.rpc.errors import (
    CATALOGUE,
    AccessError,
    InvalidRequestError,
    to_public,
    to_status,
)
from server.rpc.servicer import SERVICE

SECRET = "/var/lib/nas/secret"
VALUES = {
    "ChildId": ChildId(2, 3),
    "Path": Path(SECRET),
    "bool": True,
    "int": 7,
    "str": "something",
    "tuple[str, ...]": ("one", "two"),
}

AT_START_ONLY = {
    server.journal.base.JournalMissingError,
    server.journal.base.JournalReadOnlyError,
    server.journal.base.FutureVersionError,
    server.journal.base.StateLockedError,
}
"""Raised before there is an API; ``server.commands.exits`` has their exit codes."""

OUR_FAULT = {server.hub.RecordMissingError, server.journal.base.SequenceConflictError}
"""Bugs of the server."""


def _subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {kind for child in root.__subclasses__() for kind in {child, *_subclasses(child)}}


def _make(kind: type[Exception]) -> Exception:
    """An instance, with a plausible value for each argument."""
    signature = inspect.signature(kind)
    given = {name: VALUES[str(parameter.annotation)] for name, parameter in signature.parameters.items()}
    positional = [name for name, p in signature.parameters.items() if p.kind is not p.KEYWORD_ONLY]
    return kind(*[given.pop(name) for name in positional], **given)


REACHING: list[type[Exception]] = sorted(
    (_subclasses(EngineError) | _subclasses(HubError) | _subclasses(JournalError)) - AT_START_ONLY - OUR_FAULT
    | {InvalidRequestError, CodecError, ConfigError, *_subclasses(AccessError)},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", REACHING, ids=lambda kind: kind.__name__)
def test_every_error_that_can_reach_the_api_is_listed(kind: type[Exception]) -> None:
    """It has a code that is nobody's bug, a reason in upper snake case, a sentence, and no path of the server."""
    public = to_public(_make(kind))

    assert public is not None, f"{kind.__name__} would be answered with INTERNAL"
    assert public.code not in (code_pb2.OK, code_pb2.UNKNOWN, code_pb2.INTERNAL)
    assert public.reason == "something" or public.reason.replace("_", "").isupper()
    assert public.message
    assert SECRET not in public.message
    assert all(isinstance(value, str) for value in public.metadata.values())


@pytest.mark.parametrize(
    "kind",
    sorted((_subclasses(EngineError) | _subclasses(HubError)) - OUR_FAULT - {InvalidSettingError}, key=str),
    ids=lambda kind: kind.__name__,
)
def test_a_sentence_says_what_to_do_next(kind: type[Exception]) -> None:
    """It names the next command to type, or what to change in the last one."""
    assert re.search(r"'nas-(client|server) \w+|try again|use a new|watch again", str(_make(kind)))


@pytest.mark.parametrize("kind", sorted(OUR_FAULT | AT_START_ONLY, key=str), ids=lambda kind: kind.__name__)
def test_bugs_are_not_listed(kind: type[Exception]) -> None:
    """Nobody can act on them but us, so their text stays here."""
    assert to_public(_make(kind)) is None


@pytest.mark.parametrize("kind", sorted(_subclasses(DatasetError), key=str), ids=lambda kind: kind.__name__)
def test_every_error_of_a_data_set_is_listed(kind: type[Exception]) -> None:
    """By its name, for it comes from another process."""
    error = _make(kind)

    public = to_public(DataError(kind.__name__, str(error)))

    assert public is not None
    assert public.code in (code_pb2.INVALID_ARGUMENT, code_pb2.FAILED_PRECONDITION, code_pb2.PERMISSION_DENIED)
    assert str(error) == public.message


def test_an_error_of_a_newer_reader_of_data_is_our_fault() -> None:
    """A name that the catalogue does not know is no text for users."""
    assert to_public(DataError("NewError", "something")) is None


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.__name__)
def test_the_catalogue_lists_only_what_exists(kind: type[Exception]) -> None:
    """No entry is left over from an error that nobody raises any more."""
    assert kind in REACHING


@pytest.mark.parametrize(
    ("error", "metadata"),
    [
        (server.hub.HubClosedError(41), {"last_sequence": "41"}),
        (server.hub.SequenceAheadError("3f2a9c01b7de", 9, 7), {"head": "7"}),
        (ConfigError("seed", "is odd"), {"field": "seed"}),
        (CodecError("block", "is missing"), {"field": "block"}),
        (server.engine.errors.InvalidSettingError("initial", "INVALID_NOTATION", "no"), {"field": "initial"}),
        (server.engine.errors.ShuttingDownError(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_client_needs_to_go_on_is_there_for_machines(error: Exception, metadata: dict[str, str]) -> None:
    """The domain, the reason and the numbers stand in an ErrorInfo."""
    public = to_public(error)
    assert public is not None

    status = to_status(public)

    info = error_details_pb2.ErrorInfo()
    rich = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    assert rich.details[0].Unpack(info)
    assert ("nas", public.reason, metadata) == (info.domain, info.reason, dict(info.metadata))
    assert (public.code, public.message) == (rich.code, rich.message) == (status.code.value[0], status.details)


class Failing:
    """A servicer of which every method raises what a test says."""

    def __init__(self, error: BaseException) -> None:
        for method in SERVICE.methods:
            setattr(self, method.name, self._stream(error) if method.server_streaming else self._unary(error))

    @staticmethod
    def _unary(error: BaseException) -> Any:
        async def fail(request: object) -> object:
            raise error

        return fail

    @staticmethod
    def _stream(error: BaseException) -> Any:
        async def fail(request: object) -> AsyncGenerator[object, None]:
            if error:
                raise error
            yield request

        return fail


METHODS = [method.name for method in SERVICE.methods]


async def _call(error: BaseException, method: str) -> grpc.aio.AioRpcError:
    """Answer one call with an error, through a real server and a real channel."""
    server_ = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server_.add_generic_rpc_handlers((make_handler(SERVICE, Failing(error), Desk(activity=Activity())),))
    port = server_.add_insecure_port("127.0.0.1:0")
    await server_.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = SearchServiceStub(channel)
            request = getattr(pb, f"{method}Request")()
            call = getattr(stub, method)(request, timeout=20)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (call.read() if SERVICE.methods_by_name[method].server_streaming else call)
            return caught.value
    finally:
        await server_.stop(None)


def _info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    metadata: dict[str, Any] = dict(error.trailing_metadata() or ())
    rich = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert isinstance(rich.details[0], AnyMessage)
    assert rich.details[0].Unpack(info)
    return info


@pytest.mark.parametrize("method", METHODS)
async def test_an_unknown_error_says_nothing_but_where_to_look(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """INTERNAL with an incident number; the text is in the log under the same number, and nowhere else."""
    error = await _call(RuntimeError(f"cannot open {SECRET}"), method)

    logged = capsys.readouterr()
    incident = (error.details() or "").rpartition(" ")[2]
    assert grpc.StatusCode.INTERNAL is error.code()
    assert f"the server made a mistake; its log has the details under incident {incident}" == error.details()
    assert 8 == len(incident) == len(bytes.fromhex(incident)) * 2
    assert ("nas", "INTERNAL") == (_info(error).domain, _info(error).reason)
    assert SECRET not in str(error.trailing_metadata())
    assert incident in logged.out + logged.err
    assert SECRET in logged.out + logged.err


@pytest.mark.parametrize("method", ["GetSearch", "WatchSearch"])
async def test_an_interrupted_call_does_not_hang(method: str) -> None:
    """A cancellation from within the server is answered: a client without a deadline would wait for ever."""
    error = await _call(asyncio.CancelledError(), method)

    assert grpc.StatusCode.UNAVAILABLE is error.code()
    assert "SHUTTING_DOWN" == _info(error).reason


def test_all_modules_of_errors_are_looked_at() -> None:
    """A module that is not imported would have no subclasses to test."""
    for module in (nas.data.errors, server.engine.errors, server.hub, server.journal.base):
        errors = {
            kind
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == module.__name__
        }
        roots = {EngineError, HubError, JournalError, DatasetError}
        known = set(REACHING) | AT_START_ONLY | OUR_FAULT | _subclasses(DatasetError)
        assert errors - roots <= known
