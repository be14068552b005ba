# SPDX-License-Identifier: Apache-2.0
"""Killed at a named place, on both sides of everything that is written: the search does not notice."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
import pytest
from chaos_proof import SCALE, draw_for, proving, scaled
from chaos_run import Siege, Tally, judge, make_config, undisturbed
from chaos_schedule import Feed
from chaos_server import ChaosServer, until
from chaos_verdict import ask_all

from nas.api.v1 import search_pb2
from nas.api.v1 import search_service_pb2 as pb
from server.crash_points import CrashPoints

PRODUCT = Path(__file__).resolve().parents[2] / "server"
FAKE = ("--executor", "fake", "--workers", "2")
SIMULATED = ("--executor", "local", "--trainer", "simulated", "--workers", "2")
POINTS = {
    **dict.fromkeys(("serve.before_recovery", "recovery.replayed", "recovery.orphans_resolved", "serve.started"), 1),
    **dict.fromkeys(("port_file.before_rename", "port_file.after_rename"), 1),
    **dict.fromkeys(("start.before_admission", "start.after_admission", "start.journaled", "start.known"), 1),
    **dict.fromkeys(("engine.before_append", "engine.before_evolve", "engine.before_publish"), 20),
    **dict.fromkeys(("engine.before_sinks", "engine.done"), 20),
    **dict.fromkeys(
        ("journal.before_commit", "journal.inside_commit", "journal.before_mark", "journal.after_mark"), 20
    ),
    **dict.fromkeys(("launch.before_journal", "launch.journaled", "launch.done"), 4),
    **dict.fromkeys(("executor.before_spawn", "executor.before_request", "executor.requested"), 4),
    **dict.fromkeys(("executor.worker_left",), 2),
    **dict.fromkeys(("report.taken", "report.journaled"), 12),
    **dict.fromkeys(("prune.before", "prune.after"), 2),
    **dict.fromkeys(("cancel.before", "cancel.after"), 1),
    **dict.fromkeys(("stop.begun", "stop.deaf", "stop.workers_ended", "journal.before_tidy", "journal.after_tidy"), 1),
    **dict.fromkeys(("worker.loaded", "worker.requested"), 1),
    **dict.fromkeys(("worker.before_report", "worker.after_report"), 3),
    **dict.fromkeys(("weights.before_rename", "weights.after_rename"), 1),
}
"""Every place, with the most hits of one life after which the process may die there."""

IN_WORKER = ("worker.", "weights.")
ON_STOP = ("stop.", "journal.before_tidy", "journal.after_tidy")


def product_points() -> list[str]:
    """Return the names of the crash points in the product, as often as they occur."""
    return [name for path in PRODUCT.rglob("*.py") for name in re.findall(r'\breach\("([^"]+)"\)', path.read_text())]


def test_every_point_is_known() -> None:
    """The harness strikes at exactly those places that the product names; 20 or more."""
    assert set(POINTS) == set(product_points())
    assert len(POINTS) >= 20


def test_a_name_alone_kills_nobody() -> None:
    """Without the second variable, at another place and before the n-th hit the process lives."""
    for environment in (
        {"NAS_CRASH_AT": "here:1"},
        {"NAS_CRASH_AT": "here:1", "NAS_CRASH_POINTS_ENABLED": "0"},
        {"NAS_CRASH_AT": "there:1", "NAS_CRASH_POINTS_ENABLED": "1"},
        {"NAS_CRASH_AT": "here:2", "NAS_CRASH_POINTS_ENABLED": "1"},
        {"NAS_CRASH_POINTS_ENABLED": "1"},
        {},
    ):
        CrashPoints(environment).reach("here")


def test_the_hit_that_was_asked_for_kills() -> None:
    """The third hit, not the second, and with SIGKILL."""
    program = (
        "from server.crash_points import reach\nfor _ in range(5):\n    print('on', flush=True)\n    reach('here')\n"
    )
    environment = {**os.environ, "NAS_CRASH_AT": "here:3", "NAS_CRASH_POINTS_ENABLED": "1"}

    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)

    assert (-signal.SIGKILL, 3) == (ended.returncode, ended.stdout.count(b"on"))


async def search_for_ever(
    server: ChaosServer, expected: dict[str, search_pb2.SearchConfig], sieges: list[Siege], feed: Feed
) -> None:
    """Run one search after the other, so that every place is reached in every life; ends only by ``feed.is_enough``."""
    draw = random.Random(server.folder.name)
    while not feed.is_enough:
        digest, config = draw.choice(sorted(expected.items(), key=lambda item: item[0]))
        sieges.append(Siege(config=config, expected=digest, draw=draw, feed=feed))
        await sieges[-1].run(server)


async def cancel_for_ever(server: ChaosServer, config: search_pb2.SearchConfig) -> None:
    """Start searches that nobody needs and cancel them while their children train."""
    while True:
        request = pb.StartSearchRequest(config=config, request_id=str(uuid.uuid4()))
        try:
            async with server.connect() as stub:
                search_id = (await stub.StartSearch(request)).search.search_id
                async for answer in stub.WatchSearch(pb.WatchSearchRequest(search_id=search_id)):
                    if answer.event.HasField("attempt_started"):
                        await stub.CancelSearch(pb.CancelSearchRequest(search_id=search_id))
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.02)


async def die_at(server: ChaosServer, point: str, hit: int, feed: Feed, config: search_pb2.SearchConfig) -> None:
    """Live one life that ends at a place, in the server or in each of its workers."""
    server.spawn(NAS_CRASH_AT=f"{point}:{hit}", NAS_CRASH_POINTS_ENABLED="1")
    lost = feed.seen["attempt_lost"]
    cancelling = asyncio.ensure_future(cancel_for_ever(server, config)) if point.startswith("cancel.") else None
    try:
        if point.startswith(ON_STOP):
            await until(server.serving.is_set, "the server to serve")  # before that SIGTERM ends it unheard
            seen = feed.seen.total()
            await until(lambda: feed.seen.total() > seen, f"an event before {point}")
            server.terminate()
        if point.startswith(IN_WORKER):
            out = lambda: feed.seen["attempt_lost"] > lost + 2  # noqa: E731 - two at most are lost to the life before
            await until(out, f"workers to die at {point}:{hit}")
            server.kill()
        else:
            await until(lambda: server.has_died, f"the server to die at {point}:{hit}")
            assert -signal.SIGKILL == server.bury(), server.log[-2000:]
    finally:
        if cancelling is not None:
            cancelling.cancel()
            await asyncio.gather(cancelling, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("half", [0, 1])
async def test_killed_at_named_places(tmp_path: Path, half: int) -> None:
    """Life after life ends at another place while searches go on: digests and events are as without any of it."""
    draw = draw_for(f"crash points {half}")
    lives = [(name, draw.randint(1, most)) for name, most in sorted(POINTS.items())[half::2] for _ in range(scaled(2))]
    draw.shuffle(lives)
    lives = lives if SCALE >= 1.0 else lives[: scaled(40)]
    bar = f"each of {len(POINTS)} places {scaled(2)} times: digest identical, 0 acknowledged events lost"
    with proving("kill -9 at named crash points", bar, tmp_path) as proof:
        configs = [make_config(draw.randrange(1000), iterations=1, epochs=2) for _ in range(2)]
        expected, reference = await undisturbed(tmp_path, FAKE, configs)
        server, tally, feed, sieges = ChaosServer(tmp_path / "siege", *SIMULATED), Tally(), Feed(), list[Siege]()
        server.warm_from(reference)
        searching = asyncio.ensure_future(search_for_ever(server, expected, sieges, feed))
        try:
            for point, hit in lives:
                await die_at(server, point, hit, feed, configs[0])
            feed.is_enough = True
            await server.start()
            await asyncio.wait_for(searching, 60)
            answers = await ask_all(server)
            assert 0 == await server.stop()
            await judge(server, sieges, answers, tally)
        finally:
            searching.cancel()
            await asyncio.gather(searching, return_exceptions=True)
            await server.close()

        proof.n = len(lives)
        proof.result = (
            f"{len(lives)} deaths at {len({name for name, _ in lives})} places, {tally.searches} searches intact"
        )
