# SPDX-License-Identifier: Apache-2.0
"""The envelope around a fact, and the bytes that the journal keeps and the API streams."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from nas.api.v1 import event_pb2 as pb
from nas.search import events
from nas.search.strategies import STRATEGIES
from server.codec.facts import FACTS
from server.codec.records import decode_duration, encode_duration

_BY_DOMAIN = {codec.domain: codec for codec in FACTS}
_BY_FIELD = {codec.field: codec for codec in FACTS}
_TERMINAL_FIELDS = tuple(_BY_DOMAIN[fact].field for fact in events.TERMINAL_EVENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One fact with its place in the journal.

    Attributes:
        sequence: gapless, from 1.
        time_ns: wall clock when it was journaled, nanoseconds since the epoch.
        running_seconds: time in which an attempt of the search was running.
    """

    search_id: str
    sequence: int
    time_ns: int
    running_seconds: float
    fact: events.Event


class UnknownEventError(Exception):
    """A journaled event that this version cannot read."""

    def __init__(self, search_id: str, sequence: int, reason: str) -> None:
        super().__init__(f"event {sequence} of search {search_id or '?'} cannot be read: {reason}")
        self.search_id = search_id
        self.sequence = sequence


def encode(envelope: Envelope) -> bytes:
    """Serialise, the same bytes for the same envelope."""
    codec = _BY_DOMAIN[type(envelope.fact)]
    message = pb.Event(
        search_id=envelope.search_id,
        sequence=envelope.sequence,
        running_time=encode_duration(envelope.running_seconds),
    )
    message.time.FromNanoseconds(envelope.time_ns)
    getattr(message, codec.field).CopyFrom(codec.encode(envelope.fact))
    return message.SerializeToString(deterministic=True)


def decode(payload: bytes) -> Envelope:
    """Read what ``encode`` wrote.

    Raises:
        UnknownEventError: the bytes are no event, or one of a newer version, or one with an unknown strategy.
    """
    message = parse(payload)
    field = message.WhichOneof("fact")
    if field is None:
        raise UnknownEventError(message.search_id, message.sequence, "its kind is unknown; a newer version wrote it")
    try:
        fact = _BY_FIELD[field].decode(getattr(message, field))
    except ValueError as error:
        raise UnknownEventError(message.search_id, message.sequence, f"{field}: {error}") from error
    if isinstance(fact, events.SearchStarted) and fact.config.strategy not in STRATEGIES:
        reason = f"strategy {fact.config.strategy[:40]!r} is unknown; a newer version wrote it"
        raise UnknownEventError(message.search_id, message.sequence, reason)
    return Envelope(
        search_id=message.search_id,
        sequence=message.sequence,
        time_ns=message.time.ToNanoseconds(),
        running_seconds=decode_duration(message.running_time),
        fact=fact,
    )


def parse(payload: bytes) -> pb.Event:
    """Return the message itself, as watchers get it.

    Raises:
        UnknownEventError: the bytes are no event.
    """
    try:
        return pb.Event.FromString(payload)
    except DecodeError as error:
        raise UnknownEventError("", 0, "it is not a protobuf message") from error


def is_terminal(payload: bytes) -> bool:
    """Whether nothing follows this event."""
    return parse(payload).WhichOneof("fact") in _TERMINAL_FIELDS


def timestamp(time_ns: int) -> Timestamp:
    """Nanoseconds since the epoch as the wire has them."""
    message = Timestamp()
    message.FromNanoseconds(time_ns)
    return message
