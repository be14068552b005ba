# SPDX-License-Identifier: Apache-2.0
"""SIGTERM at random moments, now and then kill -9 before the server has gone: nothing is lost, nobody waits long."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from chaos_proof import draw_for, proving, scaled
from chaos_run import Siege, Tally, judge, make_config, running, undisturbed
from chaos_schedule import Feed, Target, draw_blow
from chaos_server import ChaosServer, until
from chaos_verdict import ask_all

FAKE = ("--executor", "fake", "--workers", "2")
SIMULATED = ("--executor", "local", "--trainer", "simulated", "--workers", "2")
EXIT_SECONDS = 20.0


async def terminate(server: ChaosServer, draw: random.Random, seconds: list[float]) -> None:
    """SIGTERM; one in ten is killed before it has gone."""
    begin = time.monotonic()
    server.terminate()
    if draw.random() < 0.1:
        await asyncio.sleep(draw.uniform(0.0, 1.0))
        if not server.has_died:
            server.kill()
            return
    await until(lambda: server.has_died, "the server to stop")
    seconds.append(time.monotonic() - begin)
    assert 0 == server.bury(), server.log[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_terminated_at_random(tmp_path: Path) -> None:
    """Each server ends in time with status 0, the next one goes on, and in the end nothing has changed."""
    draw = draw_for("sigterm")
    tally, seconds, wanted = Tally(), list[float](), scaled(100, least=3)
    with proving("SIGTERM, some followed by kill -9", "exit <= 20 s, status 0, digest identical", tmp_path) as proof:
        configs = [make_config(draw.randrange(1000), iterations=2, epochs=3) for _ in range(2)]
        expected, reference = await undisturbed(tmp_path, FAKE, configs)
        number = 0
        while tally.kills < wanted:
            number += 1
            server = ChaosServer(tmp_path / f"siege-{number}", *SIMULATED, epoch_seconds=0.05)
            server.warm_from(reference)
            feed = Feed()
            sieges = [
                Siege(config=config, expected=digest, draw=draw, feed=feed) for digest, config in expected.items()
            ]
            try:
                await server.start()
                async with running(server, *(siege.run(server) for siege in sieges)) as is_over:
                    while tally.kills < wanted:
                        await feed.wait_for(draw_blow(draw, (Target.SERVER,), 1.5), is_over)
                        if is_over.is_set():
                            break
                        await terminate(server, draw, seconds)
                        tally.kills += 1
                        await server.start()
                answers = await ask_all(server)
                assert 0 == await server.stop()
                await judge(server, sieges, answers, tally)
            finally:
                await server.close()

        slowest = max(seconds, default=0.0)  # there is none where each was killed before it had gone
        proof.n = tally.kills
        proof.result = f"{tally.kills} SIGTERMs, slowest exit after {slowest:.1f} s, {tally.searches} searches intact"
        assert slowest <= EXIT_SECONDS
