# SPDX-License-Identifier: Apache-2.0
"""Requests that no client of ours sends: each is refused as what it is, and none is the server's mistake."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from control_plane import FOREVER, ControlPlane
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from served import Refused, Served, explain, refused, serving, start_request

from nas.api.v1 import search_service_pb2 as pb
from server.executor.fake import FakeExecutor
from server.rpc.servicer import SERVICE

METHODS = list(SERVICE.methods)
REQUESTS = 2_000
EXPECTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS"}
EXPECTED |= {"PERMISSION_DENIED"}
"""What a request can be answered with where nothing is wrong with the server."""


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


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_text_that_is_no_unicode_is_refused(stuck: Served, method: MethodDescriptor) -> None:
    """Lone surrogates and broken sequences are no text."""
    texts = [field for field in method.input_type.fields if field.type == FieldDescriptor.TYPE_STRING]
    for field in texts:
        error = await refused(_send(stuck, method, bytes([field.number << 3 | 2, 3]) + b"\xed\xa0\x80"))

        assert ("INVALID_ARGUMENT", "INVALID_REQUEST") == (error.code, error.reason)


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
    """A newer client may say more than this server understands."""
    request = pb.GetServerInfoRequest.FromString(b"\x9a\x06\x03abc")

    assert await stuck.stub.GetServerInfo(request)


@pytest.mark.parametrize(
    "initial",
    [
        "C(64,3) P(1,1) " + "Concat() " * 190 + "F() FC(10)",
        "C(2147483647,1) " * 100 + "F() FC(10)",
        "IB(2147483647,2147483647,2147483647,2147483647,2147483647,2147483647) F() FC(10)",
        "C(64,3) P(1,2147483647) F() FC(10)",
        "C(64,3) P(1,1) F() FC(2147483647)",
        "(" * 60_000,
        "C(" + "9" * 60_000 + ",1) F() FC(10)",
        "C(64,3) P(1,1) " + "SEIB(32,64,128,16,32,32) Concat() " * 90 + "F() FC(10)",
    ],
    ids=lambda text: text[:40],
)
async def test_monstrous_nets_are_refused_quickly(stuck: Served, initial: str) -> None:
    """Channels that grow like Fibonacci's rabbits, numbers beyond 64 bits, brackets without end."""
    request = start_request(2, initial=initial, max_parameters=10**12)

    async with asyncio.timeout(5):
        error = await refused(stuck.stub.StartSearch(request))

    assert "INVALID_ARGUMENT" == error.code
    assert len(error.message) < 300


def _mutate_bytes(draw: random.Random, payload: bytes) -> bytes:
    """Flip, drop, repeat and insert some bytes."""
    content = bytearray(payload)
    for _ in range(draw.randint(1, 4)):
        position = draw.randint(0, len(content))
        removed = draw.choice((0, 0, 1, 1, 2, 9))
        content[position : position + removed] = draw.randbytes(draw.choice((0, 1, 1, 2, 9)))
    return bytes(content)


_NUMBERS = (0, 1, -1, 2, 7, 50, 200, 999, 2**31 - 1, -(2**31))
_WIDE = (2**31, 2**32, 2**63 - 1, -(2**63))
_TEXTS = (
    "",
    "0-1",
    "1-1",
    "9-9",
    "digits",
    "mnist",
    "x" * 300,
    "../../etc/passwd",
    "%2e%2e/",
    "\x00\n\x1b[31m",
    "Ω" * 9,
)


def _value(draw: random.Random, field: Any, known: list[str]) -> Any:
    """Something for a field that is right in its type and in nothing else."""
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_STRING:
        return draw.choice((*_TEXTS, *known))
    if field.type == kinds.TYPE_BOOL:
        return draw.random() < 0.5
    if field.type in (kinds.TYPE_DOUBLE, kinds.TYPE_FLOAT):
        return draw.choice((0.0, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -1.0, 0.5))
    if field.type == kinds.TYPE_ENUM:
        return draw.choice((0, 1, 2, 3, 99, -5))
    if field.type == kinds.TYPE_BYTES:
        return draw.randbytes(5)
    return draw.choice(_NUMBERS + (_WIDE if field.type == kinds.TYPE_INT64 else ()))


def _mutate_message(draw: random.Random, message: Message, known: list[str]) -> None:
    """Change some fields, within the schema."""
    for field in message.DESCRIPTOR.fields:
        if draw.random() < 0.75 or field.is_repeated:
            continue
        if field.message_type is None:
            setattr(message, field.name, _value(draw, field, known))
        elif draw.random() < 0.2:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
            _mutate_message(draw, getattr(message, field.name), known)


def _request(draw: random.Random, method: MethodDescriptor, known: list[str]) -> bytes:
    """One request: half of them with broken bytes, half with odd values."""
    message: Any
    if method.name == "StartSearch":
        message = start_request(draw.randint(1, 3))
        message.validate_only = draw.random() < 0.5
    else:
        message = GetMessageClass(method.input_type)()
        if "search_id" in method.input_type.fields_by_name and draw.random() < 0.8:
            message.search_id = draw.choice(known)
        if "child_id" in method.input_type.fields_by_name and draw.random() < 0.5:
            message.child_id = "1-1"
    if draw.random() < 0.5:
        return _mutate_bytes(draw, message.SerializeToString())
    _mutate_message(draw, message, known)
    return bytes(message.SerializeToString())


async def _answer(served: Served, method: MethodDescriptor, payload: bytes) -> Refused | None:
    try:
        await _send(served, method, payload)
    except grpc.aio.AioRpcError as error:
        return explain(error)
    return None


async def test_two_thousand_odd_requests_are_nobodys_bug(stuck: Served) -> None:
    """Each is answered or refused as the caller's fault, without a word about the server's files; it lives on."""
    draw = random.Random(20_261_123)
    for number in range(100, 130):  # some to be cancelled, paused and deleted
        await stuck.start(number)
    known = [view.search_id for view in stuck.plane.registry.views()]
    codes: Counter[str] = Counter()
    refusals = []

    async def work() -> None:
        while (number := sum(codes.values())) < REQUESTS:
            method = METHODS[number % len(METHODS)]
            codes["sent"] += 1
            answer = await _answer(stuck, method, _request(draw, method, known))
            codes["sent"] -= 1
            codes[answer.code if answer else "OK"] += 1
            if answer:
                refusals.append(answer)

    await asyncio.gather(*(work() for _ in range(8)))

    assert EXPECTED >= {code for code, count in codes.items() if count}, codes
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes)
    folder = str(stuck.plane.folder)
    assert not [refusal for refusal in refusals if folder in refusal.message or "Traceback" in refusal.message]
    assert max(len(refusal.message) for refusal in refusals) < 1000
    assert [] == stuck.plane.fatal
    assert await stuck.stub.GetServerInfo(pb.GetServerInfoRequest())
