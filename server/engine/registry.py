# SPDX-License-Identifier: Apache-2.0
"""All searches of a server: starts and finds them, and brings them back after a restart."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from nas.config import SearchConfig
from nas.search import commands, events
from nas.search.control import RejectedError
from nas.search.machine import decide
from nas.search.state import SearchState
from server.codec.envelope import decode
from server.codec.views import SearchView
from server.crash_points import reach
from server.engine.admission import Admission
from server.engine.clock import Clock
from server.engine.engine import Engine, Sink, seeded_by
from server.engine.errors import (
    RequestIdReusedError,
    SearchDeletedError,
    SearchEndedError,
    SearchNotEndedError,
    SearchNotFoundError,
    ShuttingDownError,
)
from server.engine.scheduler import Scheduler
from server.engine.settling import is_answered_by
from server.executor.base import Executor
from server.files import StateFiles
from server.hub import Hub
from server.journal.base import Journal

_ENDS = (*events.TERMINAL_EVENTS, events.SearchDeleted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanResult:
    """How a search would begin: the command that starts it and the events that follow."""

    command: commands.StartSearch
    facts: tuple[events.Event, ...]


class Registry:
    """The searches of one server; all methods are called in one event loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        hub: Hub,
        executor: Executor,
        files: StateFiles,
        admission: Admission,
        clock: Clock,
        sinks: Sequence[Sink],
        on_fatal: Callable[[BaseException], None],
        tallies: Sequence[Sink] = (),
    ) -> None:
        """Take the parts of a server; ``tallies`` are called with replayed events, too, ``sinks`` with new ones."""
        self.executor = executor
        self._journal = journal
        self._hub = hub
        self._admission = admission
        self._clock = clock
        self._sinks = sinks
        self._tallies = tallies
        self._on_fatal = on_fatal
        self._engines: dict[str, Engine] = {}
        self._by_request: dict[str, Engine] = {}
        self._starting: dict[str, asyncio.Task[SearchView]] = {}
        self._scheduler = Scheduler(executor=executor, files=files, engines=self._all, on_fatal=on_fatal)
        self._tasks: list[asyncio.Task[None]] = []
        self._archive: asyncio.Task[None] | None = None
        self._is_closing = False

    async def recover(self) -> None:
        """Replay the searches that had not ended and continue them; replay the ended ones in the background.

        Raises:
            UnknownEventError, IllegalEventError: the journal holds what this version does not understand.
        """
        ended = []
        for head in await self._journal.heads():
            engine = self._engines[head.search_id] = self._new_engine(head.search_id)
            (last,) = await self._journal.read(head.search_id, head.sequence - 1, 1)
            if isinstance(decode(last.payload).fact, _ENDS):
                ended.append(engine)
            else:
                await self._replay(engine)
        reach("recovery.replayed")
        await self._scheduler.resolve_orphans()
        reach("recovery.orphans_resolved")
        self._begin(self._scheduler.run(), "scheduler")
        self._archive = self._begin(self._replay_ended(ended), "archive")

    async def replayed(self, search_id: str | None = None) -> None:
        """Wait until a search of an earlier server can be shown, by default until all of them can."""
        engine = self._engines.get(search_id or "")
        if self._archive is not None and (search_id is None or (engine is not None and not engine.has_begun)):
            await asyncio.wait([self._archive])

    async def start(
        self, config: SearchConfig, *, request_id: str, principal: str, is_verifying: bool = False
    ) -> SearchView:
        """Start a search, or return the one that this request has started. Cancelling the caller does not interrupt it.

        Args:
            config: of the search.
            request_id: of the call.
            principal: who asks.
            is_verifying: whether files of data that seem unchanged are hashed again.

        Raises:
            RequestIdReusedError, SearchDeletedError, InvalidSettingError, DataError, JournalFullError,
            ShuttingDownError
        """
        while request_id in self._starting:
            await asyncio.wait([self._starting[request_id]])
        task = asyncio.ensure_future(self._start(config, request_id, principal, is_verifying))
        self._starting[request_id] = task
        task.add_done_callback(lambda _: self._starting.pop(request_id))
        return await asyncio.shield(task)

    async def plan(self, config: SearchConfig, *, is_verifying: bool = False) -> PlanResult:
        """Return how a search would begin, without starting it.

        Raises:
            InvalidSettingError, DataError
        """
        command = await self._admission.admit(config, request_id="", principal="", is_verifying=is_verifying)
        return PlanResult(command=command, facts=decide(None, command, seeded_by(config.seed)))

    async def control(self, search_id: str, command: commands.Control) -> SearchView:
        """Cancel, pause, resume or delete a search.

        Raises:
            SearchNotFoundError, SearchEndedError, SearchNotEndedError
        """
        await self.replayed(search_id)
        engine = self._engine(search_id)
        try:
            await engine.submit(command)
        except RejectedError as error:
            state = engine.search.state
            refusal = SearchEndedError if state.is_terminal else SearchNotEndedError
            raise refusal(search_id, state.value) from error
        return self._view(engine)

    async def find(self, search_id: str) -> SearchView:
        """Return one search, once it can be shown.

        Raises:
            SearchNotFoundError
        """
        await self.replayed(search_id)
        return self.view(search_id)

    def view(self, search_id: str) -> SearchView:
        """Return one search that has begun or been replayed.

        Raises:
            SearchNotFoundError
        """
        return self._view(self._engine(search_id))

    def views(self) -> list[SearchView]:
        """Return all searches that have begun or been replayed, newest first."""
        shown = [engine for engine in self._all() if engine.search.state is not SearchState.DELETED]
        is_disk_full = self._scheduler.is_disk_full
        return [self._show(engine, is_disk_full) for engine in reversed(shown)]

    def has_running(self) -> bool:
        """Whether any search is neither paused nor ended."""
        states = {engine.search.state for engine in self._all()}
        return any(not state.is_terminal and state is not SearchState.PAUSED for state in states)

    def queue_length(self) -> int:
        """Return how many attempts wait for a worker."""
        return self._scheduler.queue_length()

    async def close(self) -> None:
        """End all workers. The next server continues the searches."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.executor.preempt()
        await self.executor.close()
        reach("stop.workers_ended")
        for engine in self._all():
            engine.close()
        await self._scheduler.close()

    async def _start(self, config: SearchConfig, request_id: str, principal: str, is_verifying: bool) -> SearchView:
        await self.replayed()
        known = self._by_request.get(request_id)
        if known is not None:
            if known.search.state is SearchState.DELETED:
                raise SearchDeletedError(request_id, known.search_id)
            if not is_answered_by(config, known.search.config):
                raise RequestIdReusedError(request_id, known.search_id)
            return self._view(known)
        if self._is_closing:
            raise ShuttingDownError
        reach("start.before_admission")
        command = await self._admission.admit(config, request_id, principal, is_verifying=is_verifying)
        reach("start.after_admission")
        engine = self._new_engine(secrets.token_hex(6))
        await engine.submit(command)
        reach("start.journaled")
        self._engines[engine.search_id] = self._by_request[request_id] = engine
        reach("start.known")
        self._scheduler.wake()
        return self._view(engine)

    def _new_engine(self, search_id: str) -> Engine:
        return Engine(
            search_id,
            journal=self._journal,
            hub=self._hub,
            clock=self._clock,
            sinks=self._sinks,
            tallies=self._tallies,
            on_change=self._scheduler.wake,
            on_fatal=self._on_fatal,
        )

    async def _replay(self, engine: Engine) -> None:
        await engine.recover()
        self._by_request[engine.search.started.request_id] = engine

    async def _replay_ended(self, engines: Sequence[Engine]) -> None:
        for engine in engines:
            await self._replay(engine)
        self._scheduler.wake()  # there may be files to delete

    def _all(self) -> list[Engine]:
        return [engine for engine in self._engines.values() if engine.has_begun]

    def _view(self, engine: Engine) -> SearchView:
        return self._show(engine, self._scheduler.is_disk_full)

    def _show(self, engine: Engine, is_disk_full: bool) -> SearchView:
        return engine.view(is_disk_full=is_disk_full, is_queued=self._scheduler.is_queued(engine))

    def _engine(self, search_id: str) -> Engine:
        engine = self._engines.get(search_id)
        if engine is None or not engine.has_begun or engine.search.state is SearchState.DELETED:
            raise SearchNotFoundError(search_id)
        return engine

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._done)
        self._tasks.append(task)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)
