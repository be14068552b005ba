# SPDX-License-Identifier: Apache-2.0
"""Crowds of watchers that come and go while servers die: every event once, in order and without a gap, for all."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, draw_for, proving, scaled
from chaos_run import Siege, Tally, besiege, by_schedule, judge, make_config, reference_digests, running
from chaos_schedule import Feed, Target
from chaos_server import ChaosServer
from chaos_verdict import ask_all

FAKE = ("--executor", "fake", "--workers", "4")
BAR = "ordered, unique, no gap, whole transactions, resumable, heartbeats that name the chain: 0 violations"


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_watchers_come_and_go_while_servers_die(tmp_path: Path) -> None:
    """Each watcher leaves and returns at random; all get every event of the journal once and in order."""
    draw = draw_for("watchers")
    crowd, kills = scaled(200, least=20), scaled(20, least=2)
    with proving("watchers that disconnect and resume, servers killed", BAR, tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=4 if IS_ALONE else 2, epochs=4)
        reference, tally = ChaosServer(tmp_path / "reference", *FAKE), Tally()
        (digest,) = await reference_digests(reference, [config])
        while tally.kills < kills:
            server = ChaosServer(tmp_path / f"siege-{tally.kills}", *FAKE, epoch_seconds=0.3)
            server.warm_from(reference)
            schedule = by_schedule(draw, (Target.SERVER,), 4.0, lambda: tally.kills >= kills)
            await besiege(server, expected={digest: config}, draw=draw, next_blow=schedule, tally=tally, crowd=crowd)
        proof.n = tally.acknowledged
        proof.result = f"{crowd} watchers, {tally.kills} SIGKILLs, {tally.acknowledged} events delivered: 0 violations"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not IS_ALONE, reason="waits for heartbeats; make chaos runs it")
async def test_heartbeats_name_the_chain(tmp_path: Path) -> None:
    """Idle watchers hear where the journal stands; what they heard before a kill holds after it."""
    draw = draw_for("heartbeats")
    with proving("idle watchers, one kill", "the chain hash of each heartbeat is the journal's", tmp_path) as proof:
        config = make_config(3, iterations=1, epochs=1)
        reference = ChaosServer(tmp_path / "reference", *FAKE)
        (digest,) = await reference_digests(reference, [config])
        server = ChaosServer(tmp_path / "siege", *FAKE, epoch_seconds=11.0)
        server.warm_from(reference)
        siege = Siege(config=config, expected=digest, draw=draw, feed=Feed(), crowd=10)
        try:
            await server.start()
            async with running(server, siege.run(server)) as is_over:
                await siege.feed.wait_for_kind("child_succeeded", is_over)
                server.kill()
                await server.start()
            answers = await ask_all(server)
            assert 0 == await server.stop()
            await judge(server, [siege], answers, Tally())
        finally:
            await server.close()

        proof.n = sum(len(ledger.chains) for ledger in siege.ledgers)
        proof.result = f"{proof.n} heartbeats, all as the journal says"
        assert proof.n > 0
