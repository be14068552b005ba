# SPDX-License-Identifier: Apache-2.0
"""When to kill which process: drawn from a seed, so that short windows are hit as well as long ones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

KINDS = (
    *("search_started", "attempt_launched", "attempt_started", "epoch_completed", "child_succeeded", "attempt_lost"),
    *("children_selected", "stopping_criterion_met", "winner_evaluated", "finishing_started", "finishing_completed"),
)
"""Events after which a server may be struck."""


class Target(Enum):
    """The process that is killed."""

    SERVER = "server"
    WORKER = "worker"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One SIGKILL, or two at once; due when the first of its conditions holds.

    Attributes:
        seconds: after the server was spawned or the last blow fell.
        events: so many have been seen since then.
        kind: one of this kind has been seen since then; empty for none.
    """

    target: Target
    seconds: float
    events: int = 0
    kind: str = ""


def draw_blow(draw: random.Random, targets: tuple[Target, ...], longest: float) -> Blow:
    """Draw a blow: a third of them by the clock, a third by events seen, a third right after an event of some kind.

    Args:
        draw: where randomness comes from.
        targets: who may be struck; name one twice to have it struck more often.
        longest: seconds after which a blow falls whatever happens.
    """
    target = draw.choice(targets)
    match draw.randrange(3):
        case 0:
            return Blow(target=target, seconds=draw.uniform(0.0, 0.7 * longest))
        case 1:
            return Blow(target=target, seconds=longest, events=draw.randint(1, 40))
        case _:
            return Blow(target=target, seconds=longest, kind=draw.choice(KINDS))


@dataclass(slots=True)
class Feed:
    """The events of a watch as they arrive; wakes whoever waits for the conditions of a blow.

    Attributes:
        seen: how often each kind has come.
        is_enough: whether no more blows are wanted.
    """

    seen: Counter[str] = field(default_factory=Counter)
    is_enough: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, kind: str) -> None:
        """Note an event."""
        self.seen[kind] += 1
        self.wake()

    def wake(self) -> None:
        """Let all waiting coroutines check their condition again."""
        self._changed.set()

    async def wait_for(self, blow: Blow, is_over: asyncio.Event) -> None:
        """Return when a blow is due, or when it is all over."""
        before = self.seen.copy()
        try:
            async with asyncio.timeout(blow.seconds):
                while not (is_over.is_set() or self._is_due(blow, before)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    async def wait_for_kind(self, kind: str, is_over: asyncio.Event) -> None:
        """Return when an event of this kind comes, or when it is all over."""
        await self.wait_for(Blow(target=Target.SERVER, seconds=3600.0, kind=kind), is_over)

    def _is_due(self, blow: Blow, before: Counter[str]) -> bool:
        if blow.kind:
            return self.seen[blow.kind] > before[blow.kind]
        return bool(blow.events) and self.seen.total() >= before.total() + blow.events
