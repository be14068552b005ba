# SPDX-License-Identifier: Apache-2.0
"""Clients that observe a search while its server is killed; each keeps what it received and notes contradictions.

What a client has received is acknowledged, so it may never be lost, changed, repeated or reordered.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from chaos_server import ChaosServer
from google.protobuf.message import Message

from nas.api.v1 import event_pb2, search_pb2
from nas.api.v1 import search_service_pb2 as pb

TERMINAL = {"search_succeeded", "search_failed", "search_cancelled"}
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
"""What a call may end with because the server was killed."""
_RETRY_SECONDS = 0.02


def fingerprint(event: Message) -> bytes:
    """Hash everything that an event says."""
    return hashlib.sha256(event.SerializeToString(deterministic=True)).digest()


@dataclass(slots=True)
class Ledger:
    """What one observer of one search has received.

    Attributes:
        hashes: of the events, in the order in which they came.
        chains: chain hash that a heartbeat gave for a sequence.
        kinds: how often each kind of event came.
        answered: highest sequence in an answer of any other call.
        connections: how often it connected.
        violations: contradictions, in words.
    """

    name: str
    hashes: list[bytes] = field(default_factory=list)
    chains: dict[int, bytes] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    connections: int = 0
    is_ended: bool = False
    violations: list[str] = field(default_factory=list)

    def take(self, answer: pb.WatchSearchResponse) -> None:
        """Note one message of a watch."""
        if answer.HasField("heartbeat"):
            self._take_heartbeat(answer.heartbeat)
            return
        event = answer.event
        if event.sequence != len(self.hashes) + 1:
            self._object(f"event {event.sequence} came after {len(self.hashes)}")
            return
        if self.is_ended:
            self._object(f"event {event.sequence} came after the last")
        kind = kind_of(event)
        self.hashes.append(fingerprint(event))
        self.kinds[kind] += 1
        self.is_ended = kind in TERMINAL

    def take_sequence(self, sequence: int) -> None:
        """Note the sequence in an answer of another call; it may never fall."""
        if sequence < self.answered:
            self._object(f"sequence {sequence} was answered after {self.answered}")
        self.answered = max(self.answered, sequence)

    def refuse(self, error: grpc.aio.AioRpcError) -> None:
        """Note how a call has ended."""
        if error.code() not in _AWAY:
            self._object(f"{error.code().name} {error.details()} after {len(self.hashes)}")

    def _take_heartbeat(self, heartbeat: pb.Heartbeat) -> None:
        if heartbeat.sequence != len(self.hashes):
            self._object(f"a heartbeat at {heartbeat.sequence} came after event {len(self.hashes)}")
        self.chains[heartbeat.sequence] = heartbeat.chain_hash

    def _object(self, violation: str) -> None:
        self.violations.append(f"{self.name}: {violation}")


def kind_of(event: event_pb2.Event) -> str:
    """Which fact an event holds."""
    return event.WhichOneof("fact") or ""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Watches a search to its end, coming back after every disconnection.

    Attributes:
        pause: seconds that it waits after each event.
        stay: draws after how many events it disconnects by itself; None to stay connected.
        on_event: called with the kind of each event.
    """

    ledger: Ledger
    pause: float = 0.0
    stay: tuple[random.Random, int] | None = None
    on_event: Callable[[str], None] | None = None

    async def run(self, server: ChaosServer, search_id: str) -> None:
        """Watch."""
        while not (self.ledger.is_ended or self.ledger.violations):
            try:
                async with server.connect() as stub:
                    self.ledger.connections += 1
                    request = pb.WatchSearchRequest(search_id=search_id, after_sequence=len(self.ledger.hashes))
                    await self._listen(stub.WatchSearch(request))
            except grpc.aio.AioRpcError as error:
                self.ledger.refuse(error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, call: grpc.aio.UnaryStreamCall[pb.WatchSearchRequest, pb.WatchSearchResponse]) -> None:
        left = self.stay[0].randint(1, self.stay[1]) if self.stay else -1
        async for answer in call:
            self.ledger.take(answer)
            if self.on_event is not None and answer.HasField("event"):
                self.on_event(kind_of(answer.event))
            left -= 1
            if left == 0:
                call.cancel()
                return
            if self.pause:
                await asyncio.sleep(self.pause)
        if not self.ledger.is_ended:
            self.ledger.violations.append(f"{self.ledger.name}: the watch ended after {len(self.ledger.hashes)}")


@dataclass(slots=True, kw_only=True)
class Starter:
    """Calls StartSearch again and again with one request id, whatever the answer is."""

    config: search_pb2.SearchConfig
    request_id: str
    ledger: Ledger
    draw: random.Random
    answers: list[str] = field(default_factory=list)
    attempts: int = 0

    async def run(self, server: ChaosServer) -> str:
        """Return the search's id as soon as an answer has it."""
        while not self.answers:
            await self.call(server)
            assert not self.ledger.violations, self.ledger.violations
        return self.answers[0]

    async def insist(self, server: ChaosServer, is_over: Callable[[], bool]) -> None:
        """Repeat the call from time to time."""
        while not is_over():
            await asyncio.sleep(self.draw.uniform(0.0, 0.5))
            await self.call(server)

    async def call(self, server: ChaosServer, deadline: float = 20.0) -> None:
        """Call once; returns nothing if the server is killed meanwhile."""
        request = pb.StartSearchRequest(config=self.config, request_id=self.request_id)
        self.attempts += 1
        try:
            async with server.connect() as stub:
                answer = await stub.StartSearch(request, timeout=deadline)
        except grpc.aio.AioRpcError as error:
            if self.answers or error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:  # a full disk starts nothing
                self.ledger.refuse(error)
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self.answers.append(answer.search.search_id)
        self.ledger.take_sequence(answer.search.sequence)
