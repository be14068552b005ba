# SPDX-License-Identifier: Apache-2.0
"""Crowds of watchers that come and go while servers die: every event once, in order and without a gap, for all."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, draw_for, proving, scaled
from chaos_run import Siege, Tally, besiege, by_schedule, judge, make_config, reference_digests, running
from chaos_schedule import Feed, Target
from chaos_server import ChaosServer, until
from chaos_verdict import ask_all
from idle_crowd import WATCHES_A_CONNECTION

FAKE = ("--executor", "fake", "--workers", "4")
CROWD = Path(__file__).parents[1] / "idle_crowd.py"
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


@asynccontextmanager
async def crowd(server: ChaosServer, search_id: str, watches: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has begun to watch so many times and reads no more; it is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CROWD), server.address, search_id, str(watches)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"ready\n" == await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def connections(server: ChaosServer) -> int:
    """How many connections the server has accepted and not let go of."""
    port = f":{int(server.address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] in ("01", "08") for row in rows)  # established, or closed by the client


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_watchers_who_do_not_read_cost_nobody_else_anything(tmp_path: Path) -> None:
    """Stalled, frozen and killed ones: the search and its other watchers do not notice, and what they held is freed."""
    draw, many, few = draw_for("idle crowd"), scaled(500, least=50), scaled(50, least=5)
    each = -(-few // WATCHES_A_CONNECTION)
    bar = "others get every event, digest identical, connections freed <= 60 s"
    with proving("stalled, frozen and vanished watchers", bar, tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=3, epochs=10)
        reference = ChaosServer(tmp_path / "reference", *FAKE)
        (digest,) = await reference_digests(reference, [config])
        server = ChaosServer(tmp_path / "siege", *FAKE, epoch_seconds=0.1)
        server.warm_from(reference)
        siege = Siege(config=config, expected=digest, draw=draw, feed=Feed())
        try:
            await server.start()
            async with running(server, siege.run(server)) as is_over:
                await siege.feed.wait_for_kind("attempt_started", is_over)
                async with (
                    crowd(server, siege.search_id, few),
                    crowd(server, siege.search_id, few) as frozen,
                    crowd(server, siege.search_id, many) as vanished,
                ):
                    frozen.send_signal(signal.SIGSTOP)
                    begin = time.monotonic()
                    vanished.kill()
                    await is_over.wait()  # those who read have got everything and gone
                    await until(lambda: connections(server) <= 2 * each, "the vanished ones to be dropped")
                    if IS_ALONE:  # keepalive takes 40 s to find out
                        await until(lambda: connections(server) <= each, "the frozen ones to be dropped", 60.0)
                        proof.result = f", the frozen ones dropped after {time.monotonic() - begin:.0f} s"
            await until(lambda: connections(server) == 0, "all to be dropped")
            answers = await ask_all(server)
            assert 0 == await server.stop()
            await judge(server, [siege], answers, Tally())
        finally:
            await server.close()

        proof.n = many + 2 * few
        proof.result = f"{many} vanished, {few} stalled, {few} frozen{proof.result}"
