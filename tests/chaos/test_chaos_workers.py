# SPDX-License-Identifier: Apache-2.0
"""Workers that fail in every way: each loss is noticed, named and made good, or the child fails and says why."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos_proof import IS_ALONE, SCALE, draw_for, proving, scaled
from chaos_run import Siege, make_config, running
from chaos_schedule import Feed
from chaos_server import ChaosServer
from chaos_verdict import ask_all, read_histories

from nas.api.v1 import search_pb2
from nas.child import ChildId
from nas.search import events
from nas.search.reasons import FailureReason, LostReason
from nas.search.state import ChildState, Search, SearchState
from server.codec.envelope import Envelope, decode

DETECTED_SECONDS = 2.0
PROGRESS_SECONDS = 3.0 if IS_ALONE else 10.0
"""More than a sound worker takes to start, also beside other tests."""
TRANSIENT = {
    "sigkill": LostReason.WORKER_SIGNALLED,
    "sigsegv": LostReason.WORKER_SIGNALLED,
    "sigabrt": LostReason.WORKER_SIGNALLED,
    "truncated": LostReason.WORKER_SIGNALLED,
    "exit_0": LostReason.WORKER_EXITED,
    "exit_1": LostReason.WORKER_EXITED,
    "exception": LostReason.WORKER_EXITED,
    "garbage": LostReason.PROTOCOL_VIOLATED,
    "impossible": LostReason.PROTOCOL_VIOLATED,
}
"""What becomes of an attempt with a fault that the next attempt does not have."""

Plan = dict[str, list[tuple[str, int]]]
"""Child id to the fault and its epoch, one an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A search that has ended, as its journal and the API tell it."""

    search: Search
    digest: str
    envelopes: tuple[Envelope, ...]

    def lost(self) -> dict[str, list[LostReason]]:
        """Reasons of each child's lost attempts, in order."""
        found = defaultdict(list)
        for envelope in self.envelopes:
            if isinstance(envelope.fact, events.AttemptLost):
                found[str(envelope.fact.child_id)].append(envelope.fact.reason)
        return dict(found)

    def seconds_to_detect(self) -> list[float]:
        """How long after its last word each lost attempt was known to be lost."""
        last: dict[ChildId, int] = {}
        seconds = []
        for envelope in self.envelopes:
            if isinstance(envelope.fact, events.AttemptStarted | events.EpochCompleted):
                last[envelope.fact.child_id] = envelope.time_ns
            elif isinstance(envelope.fact, events.AttemptLost):
                seconds.append((envelope.time_ns - last[envelope.fact.child_id]) / 1e9)
        return seconds


async def run_searches(
    folder: Path, configs: list[search_pb2.SearchConfig], plan: Plan, *options: str, workers: int = 4
) -> list[Outcome]:
    """Run searches to their end, their workers failing as planned."""
    simulated = ("--executor", "local", "--trainer", "simulated", "--workers", str(workers))
    server = ChaosServer(folder, *simulated, *options)
    try:
        await server.start(NAS_SIMULATED_FAULTS=json.dumps(plan))
        sieges = [Siege(config=config, draw=random.Random(n), feed=Feed()) for n, config in enumerate(configs)]
        async with running(server, *(siege.run(server) for siege in sieges), deadline=60.0 + 600.0 * SCALE):
            pass
        answers = await ask_all(server)
        assert 0 == await server.stop()
        histories = await read_histories(server.state_dir)
    finally:
        await server.close()
    return [
        Outcome(
            search=histories[siege.search_id].search,
            digest=answers[siege.search_id].digest,
            envelopes=tuple(decode(record.payload) for record in histories[siege.search_id].records),
        )
        for siege in sieges
    ]


def deal(children: list[str], faults: list[str]) -> Plan:
    """Hand faults out to children in turn; each strikes before the second epoch is reported."""
    plan: Plan = {child: [] for child in children}
    for number, fault in enumerate(faults):
        plan[children[number % len(children)]].append((fault, 2))
    return plan


def trained(search: Search) -> list[str]:
    """Ids of the children that were trained."""
    return [str(child_id) for child_id, child in search.children.items() if child.state is ChildState.SUCCEEDED]


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_transient_faults_change_nothing(tmp_path: Path) -> None:
    """Signals, silent exits, garbage: noticed within 2 s, named, retried; the digest is that of sound workers."""
    draw = draw_for("transient faults")
    faults = [fault for fault in TRANSIENT for _ in range(scaled(100, least=2))]
    draw.shuffle(faults)
    bar = "detected <= 2 s, classified, retried, digest identical"
    with proving("worker killed, crashed, exited or talking garbage", bar, tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=2 if IS_ALONE else 1, epochs=3)
        (sound,) = await run_searches(tmp_path / "sound", [config], {})
        plan = deal(trained(sound.search), faults)

        (struck,) = await run_searches(tmp_path / "struck", [config], plan)

        planned = {child: [TRANSIENT[fault] for fault, _ in faults] for child, faults in plan.items()}
        assert planned == struck.lost()
        assert sound.digest == struck.digest
        slowest = max(struck.seconds_to_detect())
        assert not IS_ALONE or slowest <= DETECTED_SECONDS
        proof.n = len(faults)
        proof.result = (
            f"{len(faults) // len(TRANSIENT)} of each of {len(TRANSIENT)} kinds, slowest seen {slowest:.2f} s"
        )


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_hung_worker_is_given_up(tmp_path: Path) -> None:
    """Stopped with SIGSTOP: lost as TIMED_OUT within the deadline and 2 s, and trained again."""
    draw = draw_for("hangs")
    bar = f"resolved <= deadline ({PROGRESS_SECONDS:g} s) + 2 s, digest identical"
    with proving("worker hangs (SIGSTOP)", bar, tmp_path) as proof:
        config = make_config(draw.randrange(1000), iterations=2 if IS_ALONE else 1, epochs=3)
        (sound,) = await run_searches(tmp_path / "sound", [config], {})
        plan = deal(trained(sound.search), ["hang"] * scaled(100, least=4))

        (struck,) = await run_searches(
            tmp_path / "struck", [config], plan, "--progress-timeout", str(PROGRESS_SECONDS), workers=8
        )

        assert {child: [LostReason.TIMED_OUT] * len(faults) for child, faults in plan.items()} == struck.lost()
        assert sound.digest == struck.digest
        slowest = max(struck.seconds_to_detect())
        assert not IS_ALONE or slowest <= PROGRESS_SECONDS + DETECTED_SECONDS
        proof.n = len(struck.seconds_to_detect())
        proof.result = f"slowest resolved after {slowest:.2f} s"


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_what_cannot_be_trained_fails_and_is_never_selected(tmp_path: Path) -> None:
    """Out of memory once is retried, twice is INFEASIBLE; a NaN loss is DIVERGED at once; the search goes on."""
    draw = draw_for("memory")
    bar = "once: retried; twice: INFEASIBLE; NaN: DIVERGED in its epoch, never selected; the search goes on"
    with proving("out of memory (injected), NaN loss", bar, tmp_path) as proof:
        iterations = 13 if IS_ALONE else 2
        configs = [make_config(draw.randrange(1000), iterations=iterations, epochs=2) for _ in range(scaled(4))]
        once, twice, diverging = [("out_of_memory", 1)], [("out_of_memory", 1)] * 2, [("nan", 2)]
        plan: Plan = {}
        for iteration in range(1, iterations + 1):
            for y in range(1, 9):
                plan[f"{iteration}-{y}"] = ([], once, twice, diverging)[y % 4]

        outcomes = await run_searches(tmp_path / "struck", configs, plan)

        for outcome in outcomes:
            require_as_planned(outcome.search, plan)
        reasons = [reason for outcome in outcomes for lost in outcome.lost().values() for reason in lost]
        children = [child for outcome in outcomes for child in outcome.search.children.values()]
        nans = sum(child.failure is FailureReason.DIVERGED for child in children)
        assert {LostReason.OUT_OF_MEMORY} == set(reasons)
        proof.n = len(reasons) + nans
        proof.result = f"{len(reasons)} times out of memory, {nans} NaN losses, all as the bar says"


def require_as_planned(search: Search, plan: Plan) -> None:
    """Each child ended as its faults say, and none that failed was chosen."""
    assert SearchState.SUCCEEDED is search.state
    for child_id, child in search.children.items():
        match plan.get(str(child_id)):
            case [_, _]:
                assert (FailureReason.INFEASIBLE, 2) == (child.failure, child.attempts)
            case [("nan", epoch)]:
                assert (FailureReason.DIVERGED, epoch - 1) == (child.failure, len(child.epochs))
            case [_]:
                assert (ChildState.SUCCEEDED, 1) == (child.state, child.lost_attempts)
    chosen = [search.children[choice.child_id] for selection in search.selections for choice in selection.choices]
    assert {ChildState.SUCCEEDED} == {child.state for child in chosen}


async def test_an_iteration_of_nan_ends_the_search(tmp_path: Path) -> None:
    """Where no child has a finite loss the search fails instead of looping."""
    with proving("every child of an iteration diverges", "the search ends as FAILED", tmp_path) as proof:
        plan: Plan = {f"1-{y}": [("nan", 1)] for y in range(1, 9)}

        (outcome,) = await run_searches(tmp_path / "all", [make_config(7, iterations=3, epochs=2)], plan)

        assert SearchState.FAILED is outcome.search.state
        assert outcome.search.incumbent is None
        proof.n, proof.result = 1, outcome.search.failure.value if outcome.search.failure else ""
