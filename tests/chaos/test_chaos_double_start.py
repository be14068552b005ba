# SPDX-License-Identifier: Apache-2.0
"""Two servers on one state folder, a hundred times: one serves, the other says so and leaves."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, proving, scaled
from chaos_server import ChaosServer, until

FAKE = ("--executor", "fake")
BAR = "exactly one serves, the other exits 73 within 2 s"
LOCKED = 73
REFUSING_SECONDS = 2.0


async def start_against(first: ChaosServer, folder: Path) -> float:
    """Start a second server on the folder of the first; returns the seconds until it has left."""
    second = ChaosServer(folder, *FAKE)
    (folder / "state").symlink_to(first.state_dir)
    begin = time.monotonic()
    second.spawn()
    try:
        await until(lambda: second.has_died or second.serving.is_set(), "the second server to leave")
        seconds = time.monotonic() - begin
        assert not second.serving.is_set()
        assert LOCKED == second.bury(), second.log
        assert str(folder / "state") in second.log
    finally:
        await second.close()
    return seconds


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_second_server_is_refused(tmp_path: Path) -> None:
    """Whether the first serves already or is just starting, has been killed before or not."""
    with proving("two servers on one folder", BAR, tmp_path) as proof:
        seconds = []
        for number in range(scaled(10, least=2)):
            first = ChaosServer(tmp_path / f"first-{number}", *FAKE)
            try:
                await first.start()
                for intruder in range(scaled(9)):
                    seconds.append(await start_against(first, tmp_path / f"second-{number}-{intruder}"))
                assert not first.has_died, first.log
                first.kill()
                await first.start()  # the lock of a killed server is no obstacle
                assert 0 == await first.stop()
            finally:
                await first.close()
            seconds.append(await race(tmp_path / f"race-{number}"))

        proof.n = len(seconds)
        proof.result = f"{len(seconds)} refused, the slowest after {max(seconds):.2f} s"
        assert not IS_ALONE or max(seconds) <= REFUSING_SECONDS


async def race(folder: Path) -> float:
    """Start two at the same moment; returns the seconds until one has left and the other serves."""
    rivals = [ChaosServer(folder / name, *FAKE) for name in ("one", "other")]
    state = folder / "state"
    state.mkdir()
    for rival in rivals:
        rival.state_dir.symlink_to(state)
    begin = time.monotonic()
    try:
        for rival in rivals:
            rival.spawn()
        await until(lambda: any(rival.has_died for rival in rivals), "one to leave")
        seconds = time.monotonic() - begin
        (loser,) = [rival for rival in rivals if rival.has_died]
        (winner,) = [rival for rival in rivals if rival is not loser]
        assert LOCKED == loser.bury(), loser.log
        async with asyncio.timeout(30):
            await winner.serving.wait()
        assert 0 == await winner.stop()
    finally:
        for rival in rivals:
            await rival.close()
    return seconds
