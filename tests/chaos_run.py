# SPDX-License-Identifier: Apache-2.0
"""Searches whose server and workers are killed by a schedule, observed throughout and compared with a reference."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos_observers import Ledger, Starter, Watcher
from chaos_schedule import Blow, Feed, Target, draw_blow
from chaos_server import ChaosServer, strike
from chaos_verdict import ask_all, read_histories, require_one_truth, require_tidy

from nas.api.v1 import search_pb2


def make_config(
    seed: int, *, iterations: int, epochs: int, max_attempts: int = 100, is_finished: bool = False
) -> search_pb2.SearchConfig:
    """A search that no number of kills can fail, without a time budget, the only rule that depends on a clock."""
    config = search_pb2.SearchConfig(
        dataset="digits",
        block=search_pb2.BLOCK_TYPE_SE_INCEPTION,
        preset=search_pb2.PRESET_PAPER,
        seed=seed,
        max_iterations=iterations,
        max_attempts=max_attempts,
        max_failed_children=10_000,
        finish=search_pb2.FINISH_SHORT if is_finished else search_pb2.FINISH_NONE,
        training=search_pb2.TrainingConfig(max_epochs=epochs),
    )
    config.time_budget.SetInParent()
    return config


@dataclass(slots=True)
class Tally:
    """Sums over several rounds of kills."""

    blows: Counter[Target] = field(default_factory=Counter)
    kills: int = 0
    acknowledged: int = 0
    searches: int = 0
    restart_seconds: list[float] = field(default_factory=list)
    orphan_seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest, last = max(self.restart_seconds, default=0.0), max(self.orphan_seconds, default=0.0)
        by_target = ", ".join(f"{count} {target.value}" for target, count in sorted(self.blows.items(), key=str))
        return (
            f"{self.kills} SIGKILLs ({by_target}), {self.searches} searches, {self.acknowledged} acknowledged events: "
            f"0 lost, 0 duplicated, digests identical; SERVING within {slowest:.2f} s at most "
            f"({len(self.restart_seconds)} starts); last orphan gone after {last:.2f} s"
        )


@dataclass(slots=True, kw_only=True)
class Siege:
    """One search of a server and all its observers.

    Attributes:
        expected: the digest that it must have at its end; empty if it is not known yet.
        crowd: watchers beside the fast, the slow and the reconnecting one, each with habits of its own.
    """

    config: search_pb2.SearchConfig
    expected: str = ""
    draw: random.Random
    feed: Feed
    ledgers: list[Ledger] = field(default_factory=list)
    crowd: int = 0
    search_id: str = ""
    is_over: bool = False

    async def run(self, server: ChaosServer) -> None:
        """Observe the search to its end."""
        starter = Starter(
            config=self.config,
            request_id=str(uuid.UUID(int=self.draw.getrandbits(128), version=4)),
            ledger=self._ledger("starter"),
            draw=self.draw,
        )
        self.search_id = await starter.run(server)
        fast = Watcher(ledger=self._ledger("fast"), on_event=self.feed.take)
        others = [
            Watcher(ledger=self._ledger("slow"), pause=0.01),
            Watcher(ledger=self._ledger("reconnecting"), stay=(self.draw, 25)),
        ]
        for number in range(self.crowd):
            habit = (self.draw, self.draw.randint(5, 100)) if number % 2 else None
            others.append(Watcher(ledger=self._ledger(f"watcher {number}"), pause=number % 3 * 0.005, stay=habit))
        insisting = asyncio.ensure_future(starter.insist(server, lambda: self.is_over))
        await asyncio.gather(*(watcher.run(server, self.search_id) for watcher in (fast, *others)))
        self.is_over = True
        await insisting
        assert {self.search_id} == set(starter.answers)

    def _ledger(self, name: str) -> Ledger:
        ledger = Ledger(name)
        self.ledgers.append(ledger)
        return ledger


@asynccontextmanager
async def running(
    server: ChaosServer, *work: Coroutine[Any, Any, Any], deadline: float = 60.0
) -> AsyncIterator[asyncio.Event]:
    """Run coroutines beside the block and wait for them after it; the event says that it is all over.

    Whatever fails first, a coroutine, a server that dies by itself or the deadline, ends the others and is raised.
    """
    is_over = asyncio.Event()
    task = asyncio.ensure_future(asyncio.gather(*work))
    guard = asyncio.ensure_future(server.guard())
    for end in (task, guard):
        end.add_done_callback(lambda _: is_over.set())
    try:
        yield is_over
        done, _ = await asyncio.wait([task, guard], timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        assert done, f"not over {deadline:.0f} s after the last blow"
        for end in (guard, task):
            if end.done():
                end.result()
    finally:
        task.cancel()
        guard.cancel()
        await asyncio.gather(task, guard, return_exceptions=True)


async def reference_digests(server: ChaosServer, configs: list[search_pb2.SearchConfig]) -> list[str]:
    """Return the digests of the searches when nothing happens to them."""
    draw = random.Random(server.folder.name)
    try:
        await server.start()
        sieges = [Siege(config=config, draw=draw, feed=Feed()) for config in configs]
        async with running(server, *(siege.run(server) for siege in sieges)):
            pass
        answers = await ask_all(server)
        assert 0 == await server.stop()
        return [answers[siege.search_id].digest for siege in sieges]
    finally:
        await server.close()


async def undisturbed(
    folder: Path, options: tuple[str, ...], configs: list[search_pb2.SearchConfig]
) -> tuple[dict[str, search_pb2.SearchConfig], ChaosServer]:
    """Run the searches three times; returns them by their digest, which is the same each time, and a server to copy."""
    servers = [ChaosServer(folder / f"undisturbed-{number}", *options) for number in range(3)]
    digests = []
    for server in servers:
        if server is not servers[0]:
            server.warm_from(servers[0])
        digests.append(await reference_digests(server, configs))
    assert digests[0] == digests[1] == digests[2]
    return dict(zip(digests[0], configs, strict=True)), servers[0]


async def besiege(
    server: ChaosServer,
    *,
    expected: dict[str, search_pb2.SearchConfig],
    draw: random.Random,
    next_blow: Callable[[], Blow | None],
    tally: Tally,
    crowd: int = 0,
) -> None:
    """Run one search a config under blows until all have ended, then judge.

    Args:
        server: not yet started.
        expected: the configs, by the digest that their searches must have.
        draw: of the observers and of the worker that is struck.
        next_blow: None when there are to be no more.
        tally: is added to.
        crowd: additional watchers of each search.
    """
    feed = Feed()
    sieges = [
        Siege(config=config, expected=digest, draw=draw, feed=feed, crowd=crowd) for digest, config in expected.items()
    ]
    try:
        server.spawn()
        async with running(server, *(siege.run(server) for siege in sieges)) as is_over:
            while not is_over.is_set() and (blow := next_blow()) is not None:
                await feed.wait_for(blow, is_over)
                if not is_over.is_set():
                    land(blow, server, draw, tally)
        answers = await ask_all(server)
        assert 0 == await server.stop()
        assert len(sieges) == len(answers)
        await judge(server, sieges, answers, tally)
    finally:
        await server.close()


def land(blow: Blow, server: ChaosServer, draw: random.Random, tally: Tally) -> None:
    """Strike; who has killed the server starts the next."""
    workers = server.workers() if blow.target is not Target.SERVER else []
    if blow.target is Target.WORKER:
        if workers and strike(draw.choice(workers)):
            tally.blows[blow.target] += 1
            tally.kills += 1
        return
    server.kill(*workers)
    tally.blows[blow.target] += 1
    tally.kills += 1
    server.spawn()


async def judge(
    server: ChaosServer, sieges: Sequence[Siege], answers: dict[str, search_pb2.Search], tally: Tally
) -> None:
    """Hold the stopped server's folder against the digests and against what everybody was told."""
    histories = await read_histories(server.state_dir)
    assert set(answers) == set(histories)
    assert len(answers) == len({answer.request_id for answer in answers.values()})
    for siege in sieges:
        require_one_truth(histories[siege.search_id], answers[siege.search_id], siege.ledgers)
        assert siege.expected == answers[siege.search_id].digest
        tally.acknowledged += sum(len(ledger.hashes) for ledger in siege.ledgers)
    require_tidy(server, histories)
    tally.searches += len(sieges)
    tally.restart_seconds += server.restart_seconds
    tally.orphan_seconds += server.orphan_seconds


def by_schedule(draw: random.Random, targets: tuple[Target, ...], longest: float, is_enough: Callable[[], bool]) -> Any:
    """Return a ``next_blow`` that draws until it is enough."""
    return lambda: None if is_enough() else draw_blow(draw, targets, longest)
