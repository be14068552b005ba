# SPDX-License-Identifier: Apache-2.0
"""Callers who only mean to cost: streams reset as fast as they are opened, watches begun and cancelled without end."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from chaos_proof import IS_ALONE, proving, scaled
from chaos_run import make_config
from chaos_server import ChaosServer

from nas.api.v1 import search_service_pb2 as pb

FAKE = ("--executor", "fake", "--workers", "1")
FLOOD = Path(__file__).parents[1] / "reset_flood.py"
FEWEST_STREAMS = 5_000
"""What they may leave behind is more than what the first of them need."""
METHOD = "/nas.api.v1.SearchService/GetServerInfo"
PAUSE_SECONDS = 0.02
"""Between two calls of the caller who means well."""
CANCELLED_AT_ONCE = 20
BYTES_A_STREAM = 500
"""What a cancelled stream may leave behind. A bare gRPC server keeps some 270 bytes (grpc/grpc#43360)."""


def resident_bytes(server: ChaosServer) -> int:
    """Memory of the server's process."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_flood_of_resets_leaves_room_for_others(tmp_path: Path) -> None:
    """Another caller is answered all the while, and the server's memory does not grow with the flood."""
    seconds = scaled(60, least=3)
    bar = f"p99 of another caller < 1 s, at most {BYTES_A_STREAM} bytes of memory a stream"
    with proving("flood of reset streams", bar, tmp_path) as proof:
        server = ChaosServer(tmp_path / "server", *FAKE)
        try:
            await server.start()
            async with server.connect() as stub:
                await stub.GetServerInfo(pb.GetServerInfoRequest())
                before = resident_bytes(server)
                flood = await asyncio.create_subprocess_exec(
                    *(sys.executable, str(FLOOD), server.address, METHOD), stdout=asyncio.subprocess.PIPE
                )
                try:
                    streams = await _hear(flood)
                    asking = asyncio.ensure_future(_ask_for(stub, seconds))
                    while streams < FEWEST_STREAMS or not asking.done():
                        streams = await _hear(flood)
                    waits = await asking
                finally:
                    flood.kill()
                    await flood.communicate()
                growth = resident_bytes(server) - before
            assert 0 == await server.stop()
        finally:
            await server.close()

        proof.n = streams
        slowest = statistics.quantiles(waits, n=100)[-1]
        rate = f"{proof.n / seconds:,.0f} per second"
        proof.result = f"{rate} for {seconds} s: p99 of {len(waits)} calls {slowest:.2f} s, {growth >> 20} MiB more"
        assert growth <= BYTES_A_STREAM * proof.n
        assert not IS_ALONE or slowest < 1.0


async def _hear(flood: asyncio.subprocess.Process) -> int:
    """How many streams there have been, as soon as there are more of them."""
    assert flood.stdout is not None
    return int(await flood.stdout.readline())


async def _ask_for(stub: Any, seconds: float) -> list[float]:
    """Call again and again; how long each call took."""
    waits, end = [], time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        await stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=30)
        waits.append(time.monotonic() - begin)
        await asyncio.sleep(PAUSE_SECONDS)
    return waits


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_cancelled_watches_leave_next_to_nothing(tmp_path: Path) -> None:
    """Begun, heard and cancelled again and again: what the first thousands need is there for all that follow."""
    rounds = scaled(20_000, least=400) // CANCELLED_AT_ONCE
    bar = f"at most {BYTES_A_STREAM} bytes each are kept, once the first tenth is through"
    with proving("watches begun and cancelled", bar, tmp_path) as proof:
        server = ChaosServer(tmp_path / "server", *FAKE, epoch_seconds=3600.0)
        try:
            await server.start()
            async with server.connect() as stub:
                config = make_config(1, iterations=1, epochs=1)
                started = await stub.StartSearch(pb.StartSearchRequest(config=config, request_id=str(uuid.uuid4())))
                request = pb.WatchSearchRequest(search_id=started.search.search_id)
                await _cancel(stub, request, rounds // 10)
                before = resident_bytes(server)
                await _cancel(stub, request, rounds)
                growth = resident_bytes(server) - before
            assert 0 == await server.stop()
        finally:
            await server.close()

        proof.n = rounds * CANCELLED_AT_ONCE
        proof.result = f"{max(0, growth) // proof.n} bytes a watch"
        assert not IS_ALONE or growth <= BYTES_A_STREAM * proof.n


async def _cancel(stub: Any, request: pb.WatchSearchRequest, rounds: int) -> None:
    """Watch so many times, always several at once, hear one message and leave."""
    for _ in range(rounds):
        calls = [stub.WatchSearch(request) for _ in range(CANCELLED_AT_ONCE)]
        for call in calls:
            assert (await call.read()).WhichOneof("content")
            call.cancel()
