# SPDX-License-Identifier: Apache-2.0
"""The server between API and workers; only the journal (in memory), the data (prepared) and the clock are stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from attempts import DATASET
from memory_journal import MemoryJournal

from nas.blocks import BlockType
from nas.config import Device, Precision, SearchConfig, TrainingConfig
from nas.search import events
from server.codec.envelope import Envelope, decode, is_terminal
from server.codec.views import SearchView
from server.engine import Clock, Registry
from server.engine.admission import Admission
from server.executor.base import AttemptRequest, Executor, OnReport
from server.executor.fake import FakeExecutor
from server.executor.preparation import DataPreparation, PreparedData
from server.files import StateFiles
from server.hub import Hub
from server.journal.base import Journal, Record

FOREVER = 3600.0


def make_config(**changes: Any) -> SearchConfig:
    """Two iterations of one epoch on a small net; ``changes`` replaces settings."""
    training = TrainingConfig(max_epochs=1, device=Device.CPU, precision=Precision.FP32)
    settings: dict[str, Any] = {
        "dataset": "digits",
        "block": BlockType.INCEPTION,
        "initial": "C(4,3) P(2,2) C(8,3) P(2,2) F() FC(10)",
        "max_iterations": 2,
        "time_budget_seconds": 0,
        "training": training,
    }
    return SearchConfig(**settings | changes)


def request_id(number: int) -> str:
    """Make the request id with this number."""
    return str(UUID(int=number))


class ReadyData(DataPreparation):
    """Takes no time to prepare the digits; every other data set is prepared as in a server."""

    async def prepare(self, config: SearchConfig, *, is_verifying: bool = False) -> PreparedData:
        return PreparedData(summary=DATASET) if config.dataset == "digits" else await super().prepare(config)


@dataclass(slots=True)
class TurnedClock:
    """A clock that moves only when a test moves it."""

    seconds: float = 0.0

    def as_clock(self) -> Clock:
        """The clock in the form that an engine takes."""
        return Clock(wall_ns=lambda: int(self.seconds * 1e9) + 1, monotonic=lambda: self.seconds)


class ObservedExecutor(FakeExecutor):
    """Calls ``on_launch`` before every launch."""

    def __init__(self, *, slots: int, epoch_seconds: float, on_launch: Callable[[AttemptRequest], None]) -> None:
        super().__init__(slots=slots, epoch_seconds=epoch_seconds)
        self._on_launch = on_launch

    async def launch(self, request: AttemptRequest, on_report: OnReport) -> None:
        self._on_launch(request)
        await super().launch(request, on_report)

    def take(self, epoch_seconds: float) -> None:
        """Change how long epochs that begin from now on take."""
        self._epoch_seconds = epoch_seconds


@dataclass(slots=True, kw_only=True)
class ControlPlane:
    """One server's registry with everything below it.

    Attributes:
        fatal: the errors that would have ended the server.
    """

    folder: Path
    journal: Journal = field(default_factory=MemoryJournal)
    executor: Executor = field(default_factory=lambda: FakeExecutor(slots=1, epoch_seconds=0.0))
    clock: Clock = field(default_factory=Clock)
    sinks: Sequence[Callable[[Envelope], None]] = ()
    tallies: Sequence[Callable[[Envelope], None]] = ()
    memory_limit_bytes: int = 1 << 34
    fatal: list[BaseException] = field(default_factory=list)
    hub: Hub = field(init=False)
    preparation: DataPreparation = field(init=False)
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        files = StateFiles(self.folder)
        self.preparation = ReadyData(data_root=None, cache_dir=files.cache)
        self.hub = Hub(self.journal)
        self.registry = Registry(
            journal=self.journal,
            hub=self.hub,
            executor=self.executor,
            files=files,
            admission=Admission(
                preparation=self.preparation,
                threads=1,
                memory_limit_bytes=self.memory_limit_bytes,
                software="seib-nas 0",
            ),
            clock=self.clock,
            sinks=self.sinks,
            tallies=self.tallies,
            on_fatal=self.fatal.append,
        )

    async def start(self, number: int = 1, **changes: Any) -> SearchView:
        """Start a search."""
        return await self.registry.start(make_config(**changes), request_id=request_id(number), principal="")

    async def events(self, search_id: str) -> list[Envelope]:
        """Everything that has happened in a search."""
        return [decode(record.payload) for record in await self.journal.read(search_id, 0, 100_000)]

    async def wait_for(self, search_id: str, *facts: type[Any], count: int = 1) -> Envelope:
        """Wait until there were ``count`` facts of one of these kinds; fails if the search ends before."""
        watch = self.hub.watch(search_id, 0, heartbeat_seconds=FOREVER, is_last=_is_last)
        async with aclosing(watch):
            async for item in watch:
                assert isinstance(item, Record)
                envelope = decode(item.payload)
                count -= isinstance(envelope.fact, facts)
                if not count:
                    return envelope
        raise AssertionError(f"search {search_id} ended without any of {facts}")

    async def end(self, search_id: str) -> SearchView:
        """Wait for the end of a search."""
        await self.wait_for(search_id, *events.TERMINAL_EVENTS)
        return self.registry.view(search_id)


def _is_last(record: Record) -> bool:
    return is_terminal(record.payload)


@asynccontextmanager
async def running(plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    """Recover the searches of the journal, run them, and close the registry in the end."""
    await plane.registry.recover()
    await plane.registry.replayed()
    try:
        yield plane
    finally:
        await plane.registry.close()
