# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up at random moments: searches wait and say why, reads go on, and with room they do, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_proof import draw_for, proving, scaled
from chaos_run import Siege, Tally, judge, make_config, running, undisturbed
from chaos_schedule import Feed, Target, draw_blow
from chaos_server import ChaosServer
from chaos_verdict import ask_all

from nas.api.v1 import search_pb2
from nas.api.v1 import search_service_pb2 as pb

FAKE = ("--executor", "fake", "--workers", "2")
SIMULATED = ("--executor", "local", "--trainer", "simulated", "--workers", "2")
BAR = "0 corruption, pauses with its reason, reads and watches go on, resumes by itself, digest identical"
DISK_BYTES = 1 << 30
"""Enough for the largest child that two iterations can come to."""
LEFT_BYTES = (0, 4 << 10, 1 << 20, 48 << 20)
"""How much a full disk has left: nothing, less than a commit, less than weights, less than the reserve."""
WAITING_SECONDS = 20.0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Have a file system of its own at the folder; skips the test where that is not allowed."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk to fill has to be mounted, which needs root: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path, left_bytes: int) -> Iterator[None]:
    """Leave a disk so much room for as long as the block takes."""
    filler = folder / "filler"
    try:
        while True:  # again, when others have written in the same moment
            disk = os.statvfs(folder)
            with filler.open("wb") as file, contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - left_bytes))
                break
        yield
    finally:
        filler.unlink(missing_ok=True)


async def fill(server: ChaosServer, draw: random.Random, tally: Tally, seen: Counter[str]) -> None:
    """Fill the disk until all searches that go on say that they wait; now and then kill the server meanwhile."""
    with filled(server.state_dir, draw.choice(LEFT_BYTES)):
        async with server.connect() as stub:
            await until_waiting(stub, seen)
            searches = await stub.ListSearches(pb.ListSearchesRequest())
            for search in searches.searches:
                watch = stub.WatchSearch(pb.WatchSearchRequest(search_id=search.search_id))
                assert 1 == (await watch.read()).event.sequence
                watch.cancel()
        if draw.random() < 0.2:
            server.kill()
            tally.kills += 1
    if not server.serving.is_set():
        await server.start()
    seen["filled"] += 1


async def until_waiting(stub: Any, seen: Counter[str]) -> None:
    """Return when no search goes on: each waits for room or has come to its end with what room there was."""
    deadline = asyncio.get_running_loop().time() + WAITING_SECONDS
    while True:
        searches = (await stub.ListSearches(pb.ListSearchesRequest())).searches
        going = [search for search in searches if search.state == search_pb2.Search.STATE_RUNNING]
        if all(search.pause_reason == search_pb2.PAUSE_REASON_DISK_FULL for search in going):
            seen["paused"] += bool(going)
            return
        assert asyncio.get_running_loop().time() < deadline, f"no sign of the full disk: {going}"
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_filled_at_random(tmp_path: Path) -> None:
    """Whatever the moment and however little room is left, nothing is lost and nobody has to help."""
    draw = draw_for("disk")
    tally, seen, wanted = Tally(), Counter[str](), scaled(50, least=3)
    with proving("disk full at any instant", BAR, tmp_path) as proof:
        configs = [make_config(draw.randrange(1000), iterations=2, epochs=3) for _ in range(2)]
        expected, reference = await undisturbed(tmp_path, FAKE, configs)
        number = 0
        while seen["filled"] < wanted:
            number += 1
            server = ChaosServer(tmp_path / f"siege-{number}", *SIMULATED, epoch_seconds=0.05)
            feed = Feed()
            sieges = [
                Siege(config=config, expected=digest, draw=draw, feed=feed) for digest, config in expected.items()
            ]
            with small_disk(server.state_dir):
                server.warm_from(reference)
                try:
                    await server.start()
                    async with running(server, *(siege.run(server) for siege in sieges)) as is_over:
                        while seen["filled"] < wanted:
                            await feed.wait_for(draw_blow(draw, (Target.SERVER,), 1.0), is_over)
                            if is_over.is_set():
                                break
                            await fill(server, draw, tally, seen)
                    answers = await ask_all(server)
                    assert 0 == await server.stop()
                    await judge(server, sieges, answers, tally)
                finally:
                    await server.close()

        proof.n = seen["filled"]
        proof.result = (
            f"{seen['filled']} times full, {seen['paused']} times paused for it, {tally.kills} SIGKILLs meanwhile; "
            f"{tally.searches} searches intact"
        )
        assert seen["paused"]
