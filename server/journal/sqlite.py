# SPDX-License-Identifier: Apache-2.0
"""The durable journal: one thread owns the store; requests that come while it syncs share the next transaction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Self

from server.journal.base import Head, JournalClosedError, JournalError, Record, require_range
from server.journal.recovery import inspect_store, open_store
from server.journal.store import Append, JournalStore

_GROUP_LIMIT: Final = 256
"""Requests that share one transaction at most, so that the first does not wait for ever."""

_Call = Append | Callable[[JournalStore], Any]
_Answer = tuple[asyncio.Future[Any], Any]
"""Who waits, and the result or the exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """An append or any other call of the store, and who waits for it."""

    call: _Call
    reply: asyncio.Future[Any]


class SqliteJournal:
    """Implements ``Journal`` in a state folder; made by ``open`` or ``inspect``."""

    def __init__(self, open_store: Callable[[], JournalStore]) -> None:
        """Start the thread; ``_opened`` is done when the store is open."""
        self._loop = asyncio.get_running_loop()
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()  # None: close
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._is_closing = False
        # A daemon: an interpreter that ends without close is a crash like any other, not a hang.
        threading.Thread(target=self._run, args=(open_store,), name="journal", daemon=True).start()

    @classmethod
    async def open(cls, state_dir: Path, *, vfs: str | None = None) -> Self:
        """Open the journal in a state folder, create both where there is none, and prove every record.

        Args:
            state_dir: the folder; nobody else may have it open.
            vfs: name of the SQLite file system to use, ``None`` for the operating system's.

        Raises:
            StateLockedError: another process has it open; known at once.
            JournalDamagedError: acknowledged records are gone or altered.
            FutureVersionError: a newer server wrote it.
            JournalFullError: no space left to create it.
            JournalFailedError: SQLite cannot read or write it.
            OSError: the folder or a file in it cannot be created or opened.
        """
        return await cls._open(lambda: open_store(state_dir, vfs=vfs))

    @classmethod
    async def inspect(cls, state_dir: Path) -> Self:
        """Open the journal of a stopped server to read it, change nothing, and prove every record.

        Raises:
            JournalMissingError: there is no journal in the folder.
            StateLockedError, JournalDamagedError, FutureVersionError, JournalFailedError, OSError: as ``open``.
        """
        return await cls._open(lambda: inspect_store(state_dir))

    @classmethod
    async def _open(cls, open_store: Callable[[], JournalStore]) -> Self:
        journal = cls(open_store)
        try:
            await journal._opened
        except asyncio.CancelledError:
            journal._requests.put(None)  # nobody else will ask for it
            raise
        return journal

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        """See ``Journal.append``."""
        call = Append(search_id=search_id, expected_sequence=expected_sequence, payloads=tuple(payloads))
        records: tuple[Record, ...] = await self._ask(call)
        return records

    async def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        """See ``Journal.read``."""
        require_range(after_sequence, limit)
        records: tuple[Record, ...] = await self._ask(lambda store: store.read(search_id, after_sequence, limit))
        return records

    async def heads(self) -> tuple[Head, ...]:
        """See ``Journal.heads``."""
        heads: tuple[Head, ...] = await self._ask(JournalStore.heads)
        return heads

    async def close(self) -> None:
        """See ``Journal.close``."""
        if not self._is_closing:
            self._is_closing = True
            self._requests.put(None)
        await asyncio.shield(self._closed)

    async def _ask(self, call: _Call) -> Any:
        if self._is_closing:
            raise JournalClosedError
        reply = self._loop.create_future()
        # From here on the thread has the whole request: it is carried out even if the caller is cancelled.
        self._requests.put(_Request(call=call, reply=reply))
        return await reply

    # Everything below runs in the thread.

    def _run(self, open_store: Callable[[], JournalStore]) -> None:
        try:
            store = open_store()
        except Exception as error:
            self._settle([(self._opened, error)])
            return
        self._settle([(self._opened, None)])
        while self._serve(store):
            pass
        try:
            store.close()
        except Exception as error:
            self._settle([(self._closed, error)])
        else:
            self._settle([(self._closed, None)])

    def _serve(self, store: JournalStore) -> bool:
        """Carry out one group of requests, appends first; return whether the journal stays open."""
        group, stays_open = self._next_group()
        appends = [(request.reply, request.call) for request in group if isinstance(request.call, Append)]
        answers: list[_Answer] = []
        if appends:
            answers += zip((reply for reply, _ in appends), _commit(store, [call for _, call in appends]), strict=True)
        for request in group:
            if not isinstance(request.call, Append):
                answers.append((request.reply, _call(store, request.call)))
        self._settle(answers)
        store.tidy()
        return stays_open

    def _next_group(self) -> tuple[list[_Request], bool]:
        group: list[_Request] = []
        request = self._requests.get()
        with contextlib.suppress(Empty):
            while request is not None:
                group.append(request)
                if len(group) == _GROUP_LIMIT:
                    return group, True
                request = self._requests.get_nowait()
        return group, request is not None

    def _settle(self, answers: list[_Answer]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_deliver, answers)


def _commit(store: JournalStore, appends: list[Append]) -> list[Any]:
    try:
        return list(store.commit(appends))
    except JournalError as error:
        return [error for _ in appends]
    except Exception as error:  # a group that stopped half way must not be followed by another
        failure = store.fail(error)
        return [failure for _ in appends]


def _call(store: JournalStore, call: Callable[[JournalStore], Any]) -> Any:
    try:
        return call(store)
    except Exception as error:
        return error


def _deliver(answers: list[_Answer]) -> None:
    for reply, answer in answers:
        if reply.done():  # cancelled
            continue
        if isinstance(answer, Exception):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)
