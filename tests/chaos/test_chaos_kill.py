# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments, hundreds of times: searches find what they would have found, and nobody was told a lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, draw_for, proving, scaled
from chaos_run import Tally, besiege, by_schedule, make_config, undisturbed
from chaos_schedule import Target
from chaos_server import ORPHAN_SECONDS, ChaosServer

FAKE = ("--executor", "fake", "--workers", "2")
SIMULATED = ("--executor", "local", "--trainer", "simulated", "--workers", "2")
SERVING_SECONDS = 2.0
SERVER_ONLY = (Target.SERVER,)
ANYBODY = (Target.SERVER, Target.WORKER, Target.BOTH)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("options", "targets", "kills", "iterations", "epoch_seconds"),
    [
        pytest.param(FAKE, SERVER_ONLY, 110, 7, 0.02, id="fake"),
        pytest.param(SIMULATED, ANYBODY, 110, 3, 0.05, id="simulated"),
    ],
)
async def test_killed_at_random(
    tmp_path: Path,
    options: tuple[str, ...],
    targets: tuple[Target, ...],
    kills: int,
    iterations: int,
    epoch_seconds: float,
) -> None:
    """Two searches a state folder, one of them with finishing; each ends as three undisturbed runs ended."""
    draw = draw_for(f"kill {options}")
    tally, wanted = Tally(), scaled(kills)
    bar = "digest identical, 0 acknowledged events lost, 0 duplicated, SERVING <= 2 s, no orphan after 2 s"
    with proving(f"kill -9 at any instant ({options[1]} executor)", bar, tmp_path) as proof:
        size = iterations if IS_ALONE else 2
        configs = [
            make_config(draw.randrange(1000), iterations=size, epochs=3, is_finished=is_finished)
            for is_finished in (False, True)
        ]
        expected, reference = await undisturbed(tmp_path, FAKE, configs)

        number = 0
        while tally.kills < wanted:
            number += 1
            server = ChaosServer(tmp_path / f"siege-{number}", *options, epoch_seconds=epoch_seconds)
            if number > 1 or targets != SERVER_ONLY:  # the first is killed while it prepares its data, too,
                server.warm_from(reference)  # but not its reader, which is given up for dead the third time
            schedule = by_schedule(draw, targets, 2.0, lambda: tally.kills >= wanted)
            await besiege(server, expected=expected, draw=draw, next_blow=schedule, tally=tally)
            print(tally)

        proof.n, proof.result = tally.kills, str(tally)
        assert max(tally.orphan_seconds) <= ORPHAN_SECONDS
        assert not IS_ALONE or max(tally.restart_seconds) <= SERVING_SECONDS
