# SPDX-License-Identifier: Apache-2.0
"""The same start from a hundred clients at once, half of them gone before the answer, under kill -9: one search."""

from __future__ import annotations

import asyncio
import random
import uuid
from pathlib import Path

import grpc
import pytest
from chaos_observers import Ledger, Starter
from chaos_proof import draw_for, proving, scaled
from chaos_run import make_config, reference_digests, running
from chaos_server import ChaosServer
from chaos_verdict import ask_all

from nas.api.v1 import search_service_pb2 as pb

FAKE = ("--executor", "fake", "--workers", "2")
KILLS = 3


async def start_impatiently(starter: Starter, server: ChaosServer, draw: random.Random) -> str:
    """Hang up a few times before the answer, then wait for it."""
    for _ in range(draw.randrange(4)):
        try:
            async with asyncio.timeout(draw.uniform(0.0, 1.5)):
                await starter.call(server)
        except TimeoutError:
            continue
    return await starter.run(server)


async def kill_a_few_times(server: ChaosServer, draw: random.Random) -> None:
    """Kill the server while starts come in, some of them while it starts itself."""
    for _ in range(KILLS):
        await asyncio.sleep(draw.uniform(0.2, 1.8))
        server.kill()
        server.spawn()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_identical_starts_make_one_search(tmp_path: Path) -> None:
    """Whoever gets an answer gets the same search, nobody ever sees a second one, and another payload is refused."""
    draw = draw_for("starts")
    clients, rounds = scaled(100, least=20), scaled(5)
    with proving("identical starts, disconnected and killed", "exactly one search, one answer", tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=1, epochs=2)
        reference = ChaosServer(tmp_path / "reference", *FAKE)
        await reference_digests(reference, [config])
        for number in range(rounds):
            server = ChaosServer(tmp_path / f"round-{number}", *FAKE, epoch_seconds=0.02)
            server.warm_from(reference)
            request_id = str(uuid.UUID(int=draw.getrandbits(128), version=4))
            starters = [
                Starter(config=config, request_id=request_id, ledger=Ledger(f"client {n}"), draw=draw)
                for n in range(clients)
            ]
            try:
                server.spawn()
                work = [start_impatiently(starter, server, draw) for starter in starters]
                async with running(server, kill_a_few_times(server, draw), *work):
                    pass
                answers = await ask_all(server)
                refused = await start_something_else(server, request_id)
            finally:
                await server.close()

            assert [request_id] == [search.request_id for search in answers.values()]
            assert set(answers) == {answer for starter in starters for answer in starter.answers}
            assert [] == [violation for starter in starters for violation in starter.ledger.violations]
            assert grpc.StatusCode.ALREADY_EXISTS is refused
            proof.n += sum(starter.attempts for starter in starters)
        proof.result = (
            f"{rounds} rounds of {clients} clients, {proof.n} calls, {rounds * KILLS} SIGKILLs: one search each"
        )


async def start_something_else(server: ChaosServer, request_id: str) -> grpc.StatusCode | None:
    """Use a request id for another config; returns how that is refused."""
    request = pb.StartSearchRequest(config=make_config(1001, iterations=1, epochs=1), request_id=request_id)
    try:
        async with server.connect() as stub:
            await stub.StartSearch(request)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None
