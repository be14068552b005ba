# SPDX-License-Identifier: Apache-2.0
"""Real training under kill -9: the winner's weights are, byte for byte, those of a training that nobody touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, draw_for, proving, scaled
from chaos_run import Tally, besiege, make_config, reference_digests
from chaos_schedule import Blow, Target
from chaos_server import ChaosServer

from nas.api.v1 import search_pb2

REAL = ("--executor", "local", "--workers", "1")
TINY_NET = "C(8,3) P(2,2) IB(8,4,8,4,4,4) P(2,2) F() FC(10)"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not IS_ALONE, reason="tests/crash/test_server_kill.py does a little of this; make chaos does it all"
)
async def test_killed_while_a_real_net_trains(tmp_path: Path) -> None:
    """Server, worker or both, at ten random moments of a search with PyTorch on the CPU."""
    draw = draw_for("training")
    tally, wanted = Tally(), scaled(10)
    with proving("kill -9 with the real CPU trainer", "byte-identical weights of the winner", tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=1, epochs=5)
        config.block, config.initial = search_pb2.BLOCK_TYPE_INCEPTION, TINY_NET
        config.train_limit, config.threads = 200, 1
        reference = ChaosServer(tmp_path / "reference", *REAL)
        (digest,) = await reference_digests(reference, [config])

        def next_blow() -> Blow | None:
            if tally.kills >= wanted:
                return None
            target = draw.choice(tuple(Target))
            if draw.random() < 0.5:
                return Blow(target=target, seconds=30.0, kind="epoch_completed")
            return Blow(target=target, seconds=draw.uniform(1.0, 9.0))

        number = 0
        while tally.kills < wanted:
            number += 1
            server = ChaosServer(tmp_path / f"siege-{number}", *REAL)
            server.warm_from(reference)
            await besiege(server, expected={digest: config}, draw=draw, next_blow=next_blow, tally=tally)
        proof.n, proof.result = tally.kills, str(tally)
