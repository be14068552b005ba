# SPDX-License-Identifier: Apache-2.0
"""Requests that no client of ours sends: each is refused as what it is, and none is the server's mistake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from control_plane import FOREVER, ControlPlane
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from served import Served, refused, serving, start_request

from nas.api.v1 import search_service_pb2 as pb
from server.executor.fake import FakeExecutor
from server.rpc.servicer import SERVICE

METHODS = list(SERVICE.methods)
TEXTS = [
    (method, field)
    for method in METHODS
    for field in method.input_type.fields
    if field.type == FieldDescriptor.TYPE_STRING
]


@pytest.fixture
async def stuck(tmp_path: Path) -> AsyncIterator[Served]:
    """A server with one search that does not get on."""
    executor = FakeExecutor(slots=2, epoch_seconds=FOREVER)
    async with serving(ControlPlane(folder=tmp_path, executor=executor)) as served:
        await served.start()
        yield served


async def _send(served: Served, method: MethodDescriptor, payload: bytes) -> None:
    """Call a method with bytes and wait for the first answer."""
    channel: Any = served.channel  # its type wants to know how to serialise
    path = f"/{SERVICE.full_name}/{method.name}"
    if not method.server_streaming:
        await channel.unary_unary(path)(payload, timeout=20)
        return
    call = channel.unary_stream(path)(payload, timeout=20)
    answer = await call.read()
    if answer is not grpc.aio.EOF:
        call.cancel()
    elif (code := await call.code()) is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
        )


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize(
    "payload", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0b" * 5000, b"\x07\x07"], ids=len
)
async def test_bytes_that_are_no_message_are_refused(stuck: Served, method: MethodDescriptor, payload: bytes) -> None:
    """By every method, as the caller's fault."""
    error = await refused(_send(stuck, method, payload))

    expected = ("INVALID_ARGUMENT", "INVALID_REQUEST", f"the request is no {method.name}Request")
    assert expected == (error.code, error.reason, error.message)


@pytest.mark.parametrize(("method", "field"), TEXTS, ids=lambda one: one.name)
async def test_text_that_is_no_unicode_is_refused(
    stuck: Served, method: MethodDescriptor, field: FieldDescriptor
) -> None:
    """A lone surrogate is no text, in whichever text field of a request it stands."""
    error = await refused(_send(stuck, method, bytes([field.number << 3 | 2, 3]) + b"\xed\xa0\x80"))

    expected = ("INVALID_ARGUMENT", "INVALID_REQUEST", f"the request is no {method.name}Request")
    assert expected == (error.code, error.reason, error.message)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_a_request_over_a_mebibyte_is_refused(stuck: Served, method: MethodDescriptor) -> None:
    """Before anybody reads it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _send(stuck, method, bytes(1 << 21))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()


async def test_a_request_just_under_a_mebibyte_is_read(stuck: Served) -> None:
    """An initial model as long as can be is refused for what it says, in a short sentence."""
    request = start_request(2, initial="C(1,1) " * 149_000)

    error = await refused(stuck.stub.StartSearch(request))

    assert ("INVALID_ARGUMENT", "INVALID_NOTATION") == (error.code, error.reason)
    assert len(error.message) < 300


async def test_an_unknown_method_is_unimplemented(stuck: Served) -> None:
    """Of this service or another."""
    channel: Any = stuck.channel
    for path in (f"/{SERVICE.full_name}/StopTheWorld", "/nas.api.v2.SearchService/GetSearch"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path)(b"", timeout=20)

        assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


async def test_unknown_fields_are_no_error(stuck: Served) -> None:
    """A newer client may say more than this server understands, and gets the answer of one that says less."""
    request = pb.GetServerInfoRequest.FromString(b"\x9a\x06\x03abc")
    assert b"abc" in request.SerializeToString()

    answer = await stuck.stub.GetServerInfo(request)

    assert "0.0.0" == answer.version


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        ("C(64,3) P(1,1) " + "Concat() " * 190 + "F() FC(10)", "has countless parameters, more than the 1,000,000,000"),
        ("C(2147483647,1) " * 100 + "F() FC(10)", "has countless parameters, more than the 1,000,000,000,000 of"),
        (
            "IB(2147483647,2147483647,2147483647,2147483647,2147483647,2147483647) F() FC(10)",
            "has countless parameters",
        ),
        ("C(64,3) P(1,2147483647) F() FC(10)", "layer 2: a 2147483647x2147483647 window does not fit the 26x26 map"),
        ("C(64,3) P(1,1) F() FC(2147483647)", "ends with FC(2147483647), but data set 'digits' has 10 classes"),
        (
            "(" * 60_000,
            "is no net: character 1: expected a layer, one of C, P, IB, SEIB, ",
        ),
        (
            "C(" + "9" * 60_000 + ",1) F() FC(10)",
            "is no net: character 3: the filters of C must lie between 1 and 2147",
        ),
        ("C(64,3) P(1,1) " + "SEIB(32,64,128,16,32,32) Concat() " * 90 + "F() FC(10)", "of a worker; choose a smaller"),
    ],
    ids=lambda text: text[:40],
)
async def test_monstrous_nets_are_refused_quickly(stuck: Served, initial: str, said: str) -> None:
    """Channels that grow like Fibonacci's rabbits, numbers beyond 64 bits, brackets without end: one sentence each."""
    request = start_request(2, initial=initial, max_parameters=10**12)

    async with asyncio.timeout(5):
        error = await refused(stuck.stub.StartSearch(request))

    assert "INVALID_ARGUMENT" == error.code
    assert ("INVALID_NOTATION" if "is no net" in said else "INVALID_ARCHITECTURE") == error.reason
    assert said in error.message
    assert len(error.message) < 300
