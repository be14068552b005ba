# SPDX-License-Identifier: Apache-2.0
"""The events of one search, in order, without a gap or a repetition, over as many connections as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

from client.connection import Connection
from client.errors import ClientError, Exit, ServerError
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

TERMINAL_FACTS = {
    "search_succeeded": search_pb2.Search.STATE_SUCCEEDED,
    "search_failed": search_pb2.Search.STATE_FAILED,
    "search_cancelled": search_pb2.Search.STATE_CANCELLED,
}
"""The state that each terminal event leads to."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
# CANCELLED is what a dying server or a proxy makes of a stream that this side did not cancel.
_LOST = ("UNAVAILABLE", "CANCELLED")


class Listener(Protocol):
    """Is told what happens beside the events, in the thread that asks for them."""

    def on_lost(self, text: str) -> None:
        """Take note that the connection is lost; ``text`` says so in a sentence."""

    def on_found(self, text: str) -> None:
        """Take note that it is back."""

    def on_heartbeat(self, heartbeat: search_service_pb2.Heartbeat) -> None:
        """Take a sign of life."""


class Follower:
    """Follows one search to its end.

    Attributes:
        sequence: of the last event that was yielded.
    """

    def __init__(
        self,
        connection: Connection,
        search_id: str,
        *,
        after: int,
        reconnect_seconds: float,
        is_known: bool,
        listener: Listener,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            connection: to the server.
            search_id: the search.
            after: sequence of the last event that is already known; 0 for none.
            reconnect_seconds: how long to look for a server that was there before.
            is_known: whether the server has been heard already, so that an unreachable one is worth waiting for.
            listener: is told about the connection.
        """
        self.sequence = after
        self._connection = connection
        self._search_id = search_id
        self._reconnect_seconds = reconnect_seconds
        self._is_known = is_known
        self._listener = listener
        self._lost_since: float | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._last_hash = (0, b"")

    def events(self) -> Iterator[event_pb2.Event]:
        """Yield events up to the terminal one.

        Raises:
            ServerError: the server refused, or was gone for longer than ``reconnect_seconds``.
            ClientError: an event is missing or came twice.
        """
        while True:
            try:
                for event in self._stream():
                    yield event
                    if event.WhichOneof("fact") in TERMINAL_FACTS:
                        return
                if self._is_over():
                    return
                lost: ServerError | None = None
            except ServerError as error:
                if error.status not in _LOST or not self._is_known:
                    raise
                lost = error
            self._wait(lost)

    def _stream(self) -> Iterator[event_pb2.Event]:
        request = search_service_pb2.WatchSearchRequest(search_id=self._search_id, after_sequence=self.sequence)
        for response in self._connection.stream(self._connection.stub.WatchSearch, request):
            self._found()
            if response.WhichOneof("content") == "heartbeat":
                self._check_heartbeat(response.heartbeat)
                self._listener.on_heartbeat(response.heartbeat)
            elif response.WhichOneof("content") == "event":  # a newer server may send something else, too
                self._check_event(response.event)
                self.sequence = response.event.sequence
                yield response.event

    def _check_event(self, event: event_pb2.Event) -> None:
        if event.sequence != self.sequence + 1:
            raise ClientError(
                f"The server sent event {event.sequence} of search {self._search_id} where event {self.sequence + 1} "
                f"belongs; ask for the events again with `nas-client watch {self._search_id}`.",
                Exit.UNEXPECTED,
            )

    def _check_heartbeat(self, heartbeat: search_service_pb2.Heartbeat) -> None:
        if heartbeat.sequence > self.sequence:
            raise ClientError(
                f"The server says that it sent event {heartbeat.sequence} of search {self._search_id}, "
                f"but event {self.sequence} is the last that arrived; ask for the events again.",
                Exit.UNEXPECTED,
            )
        sequence, chain_hash = self._last_hash
        if sequence == heartbeat.sequence and chain_hash not in (b"", heartbeat.chain_hash):
            raise ClientError(
                f"The server's journal of search {self._search_id} was set back: "
                f"event {sequence} is another one than before.",
                Exit.UNEXPECTED,
            )
        self._last_hash = (heartbeat.sequence, heartbeat.chain_hash)

    def _is_over(self) -> bool:
        """Whether there is nothing after ``sequence``: a stream without events ends without a terminal one, too."""
        request = search_service_pb2.GetSearchRequest(search_id=self._search_id)
        search = self._connection.call(self._connection.stub.GetSearch, request).search
        return search.state in TERMINAL_FACTS.values() and search.sequence <= self.sequence

    def _found(self) -> None:
        self._is_known = True
        if self._lost_since is not None:
            self._listener.on_found("Connected again.")
        self._lost_since = None
        self._pause = FIRST_PAUSE_SECONDS

    def _wait(self, lost: ServerError | None) -> None:
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            limit = f"for up to {self._reconnect_seconds:g} s"
            self._listener.on_lost(f"Lost the connection after event {self.sequence}; trying {limit} to get it back.")
        if now - self._lost_since + self._pause > self._reconnect_seconds:
            raise lost or ServerError(
                f"The server ends the stream of search {self._search_id} before the search has ended.",
                Exit.UNAVAILABLE,
                status="UNAVAILABLE",
                reason="",
            )
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
