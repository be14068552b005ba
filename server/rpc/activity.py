# SPDX-License-Identifier: Apache-2.0
"""Counts the calls in progress, and writes one log line with many fields for each call that has ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import structlog
from google.rpc import code_pb2
from structlog.contextvars import bind_contextvars

from server.rpc.errors import PublicError

OnEnd = Callable[[str, str, float], None]
"""Called for each call that has ended, with its method, the name of its status and its duration in seconds."""

CHANGING = frozenset({"StartSearch", "CancelSearch", "PauseSearch", "ResumeSearch", "DeleteSearch"})
"""Methods whose calls are audited, refused ones too."""

_IDS = {
    "search_id": re.compile("[0-9a-f]{12}", flags=re.ASCII),
    "child_id": re.compile("[0-9]{1,9}-[0-9]{1,9}", flags=re.ASCII),
}

log = structlog.get_logger("nas.rpc")
audit_log = structlog.get_logger("nas.audit")


class Activity:
    """Calls in progress and the end of the last one."""

    def __init__(self, on_end: OnEnd = lambda _method, _code, _seconds: None) -> None:
        """Take a function that is called at the end of each call; it must not raise."""
        self._on_end = on_end
        self._calls = 0
        self._last = time.monotonic()

    @property
    def calls(self) -> int:
        """How many calls are in progress."""
        return self._calls

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call while it lasts."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._last = time.monotonic()

    def end(self, method: str, public: PublicError | None, *, seconds: float, **more: Any) -> None:
        """Log how a call has ended: refused as ``public``, or answered.

        Args:
            method: the full name or only the last part of it; empty if there is no such method.
            public: what the client was told, None if nothing was wrong.
            seconds: its duration.
            more: further fields of the log line.
        """
        name = method.rpartition("/")[2]
        code = "OK" if public is None else code_pb2.Code.Name(public.code)
        refusal = {} if public is None else {"reason": public.reason}
        log.info("rpc", method=name, code=code, seconds=round(seconds, 4), **refusal, **more)
        if name in CHANGING:
            audit_log.info("audit", method=name, code=code, **refusal)
        self._on_end(name, code, seconds)

    def idle_seconds(self) -> float:
        """Seconds since the last call ended; 0 while one is in progress."""
        return 0.0 if self._calls else time.monotonic() - self._last


def bind_ids(message: object) -> None:
    """Add the ids in a message to every log line of this call; a malformed one may be any text and is left out."""
    for name, pattern in _IDS.items():
        value = getattr(message, name, "")
        if isinstance(value, str) and pattern.fullmatch(value):
            bind_contextvars(**{name: value})


def note_peer(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Add the address of the caller to every log line of this call."""
    bind_contextvars(peer=context.peer())
