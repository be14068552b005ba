# SPDX-License-Identifier: Apache-2.0
"""Odd requests by the thousand, to every method of a real server: each is the caller's fault, and it lives on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from chaos_proof import draw_for, proving, scaled
from chaos_server import ChaosServer
from google.protobuf.descriptor import MethodDescriptor
from odd_requests import odd_request
from served import Refused, explain, start_request

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub
from server.rpc.servicer import SERVICE

METHODS = tuple(SERVICE.methods)
STUCK = ("--executor", "fake", "--workers", "2")
BAR = "0 crashes, 0 INTERNAL or UNKNOWN, no path or traceback in a message"
EXPECTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS"}
EXPECTED |= {"PERMISSION_DENIED", "RESOURCE_EXHAUSTED"}
"""What a request can be answered with where nothing is wrong with the server."""
CALLERS = 8


async def send(channel: Any, method: MethodDescriptor, payload: bytes) -> Refused | None:
    """Call a method with bytes and wait for the first answer; returns the refusal, None if there is none."""
    path = f"/{SERVICE.full_name}/{method.name}"
    try:
        if not method.server_streaming:
            await channel.unary_unary(path)(payload, timeout=30)
            return None
        call = channel.unary_stream(path)(payload, timeout=30)
        async for _ in call:
            call.cancel()
            return None
    except grpc.aio.AioRpcError as error:
        return explain(error)
    return None


async def fuzz(server: ChaosServer, draw: random.Random, wanted: int) -> tuple[Counter[str], list[Refused]]:
    """Send odd requests from several callers; returns how often each status came back, and all refusals."""
    codes: Counter[str] = Counter()
    refusals = []
    numbers = iter(range(wanted))
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = SearchServiceStub(channel)
        started = [await stub.StartSearch(start_request(number)) for number in range(100, 130)]
        known = [answer.search.search_id for answer in started]  # some to be cancelled, paused and deleted

        async def call() -> None:
            for number in numbers:
                method = METHODS[number % len(METHODS)]
                answer = await send(channel, method, odd_request(draw, method, known))
                codes[answer.code if answer else "OK"] += 1
                if answer:
                    refusals.append(answer)

        await asyncio.gather(*(call() for _ in range(CALLERS)))
        assert (await stub.GetServerInfo(pb.GetServerInfoRequest())).version
    return codes, refusals


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_odd_requests_are_nobodys_bug(tmp_path: Path) -> None:
    """Each is answered or refused as the caller's fault, without a word about the server's files; it lives on."""
    draw = draw_for("requests")
    with proving("fuzzed requests, all methods", BAR, tmp_path) as proof:
        server = ChaosServer(tmp_path / "server", *STUCK, epoch_seconds=3600.0)
        try:
            await server.start()
            codes, refusals = await fuzz(server, draw, scaled(20_000, least=2_000))

            assert not server.has_died, server.log[-2000:]
            assert 0 == await server.stop()
        finally:
            await server.close()

        assert EXPECTED >= set(codes), codes
        assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes)
        assert not [refusal for refusal in refusals if str(tmp_path) in refusal.message]
        assert not [refusal for refusal in refusals if "Traceback" in refusal.message]
        assert max(len(refusal.message) for refusal in refusals) < 1000
        assert "Traceback" not in server.log
        proof.n = codes.total()
        proof.result = ", ".join(f"{count} {code}" for code, count in codes.most_common())
