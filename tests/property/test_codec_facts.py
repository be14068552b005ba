# SPDX-License-Identifier: Apache-2.0
"""Whatever is journaled comes back as it was, and what this version cannot read says where it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from fact_strategies import FACTS, envelopes
from hypothesis import given, settings
from hypothesis import strategies as st
from search_driver import Driver, make_config

from nas.api.v1 import event_pb2 as pb
from nas.search import events
from server.codec import facts
from server.codec.envelope import Envelope, UnknownEventError, decode, encode, is_terminal, parse

ALL_FACTS = get_args(events.Event)


def _envelope(fact: events.Event) -> Envelope:
    return Envelope(search_id="3f2a9c01b7de", sequence=7, time_ns=1, running_seconds=0.5, fact=fact)


def test_every_fact_has_a_codec_and_a_strategy() -> None:
    """Nothing of the event union is left out, neither on the wire nor in these tests."""
    assert set(ALL_FACTS) == {codec.domain for codec in facts.FACTS} == set(FACTS)
    assert {field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["fact"].fields} == {
        codec.field for codec in facts.FACTS
    }


@pytest.mark.parametrize("fact", ALL_FACTS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_fact_comes_back_as_it_was(fact: type[events.Event], data: st.DataObject) -> None:
    """Bit for bit, NaN included, with its place in the journal; and the same fact always has the same bytes."""
    envelope = data.draw(envelopes(FACTS[fact]))

    payload = encode(envelope)

    assert repr(envelope) == repr(decode(payload))
    assert payload == encode(decode(payload))


@pytest.mark.parametrize("fact", ALL_FACTS)
@settings(max_examples=3)
@given(data=st.data())
def test_the_terminal_event_is_known_by_its_bytes(fact: type[events.Event], data: st.DataObject) -> None:
    """A watch ends with the events that end a search, and with no other."""
    payload = encode(data.draw(envelopes(FACTS[fact])))

    assert (fact in events.TERMINAL_EVENTS) == is_terminal(payload)


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999, 10**9, 43_200 * 10**9 + 1, 10**16])
def test_running_time_is_kept_to_the_nanosecond(nanoseconds: int) -> None:
    """As far as a float can tell nanoseconds apart, that is for the first hundred days."""
    envelope = Envelope(
        search_id="a", sequence=1, time_ns=0, running_seconds=nanoseconds / 1e9, fact=events.TimeBudgetReached()
    )

    duration = parse(encode(envelope)).running_time

    assert nanoseconds == duration.ToNanoseconds()


def test_a_fact_of_a_newer_version_names_its_sequence() -> None:
    """Event 7 with a fact that has number 99 is refused with its place, whatever is in it."""
    newer = pb.Event(search_id="3f2a9c01b7de", sequence=7).SerializeToString() + b"\x9a\x06\x02\x08\x01"

    with pytest.raises(
        UnknownEventError, match=r"event 7 of search 3f2a9c01b7de .* a newer version wrote it"
    ) as caught:
        decode(newer)

    assert ("3f2a9c01b7de", 7) == (caught.value.search_id, caught.value.sequence)


def test_a_strategy_of_a_newer_version_is_refused() -> None:
    """Else the server would find out when it has to decide how the search goes on."""
    started = Driver(make_config(strategy="paper")).facts[0]
    assert isinstance(started, events.SearchStarted)
    newer = replace(started, config=replace(started.config, strategy="newer"))
    envelope = Envelope(search_id="3f2a9c01b7de", sequence=1, time_ns=0, running_seconds=0.0, fact=newer)

    with pytest.raises(UnknownEventError, match=r"event 1 of .* strategy 'newer' is unknown; a newer version wrote it"):
        decode(encode(envelope))


UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"attempt_launched": pb.AttemptLaunched(child_id="1-1", kind=0)}, "attempt_kind is missing"),  # type: ignore[arg-type]
    ({"attempt_launched": pb.AttemptLaunched(child_id="1-1", kind=77)}, "attempt_kind has the unknown value 77"),  # type: ignore[arg-type]
    ({"attempt_launched": pb.AttemptLaunched(kind=1)}, "child_id must be a child id x-y, not ''"),  # type: ignore[arg-type]
    ({"child_cancelled": pb.ChildCancelled(child_id="01-1")}, "child_id must be"),
    ({"child_proposed": pb.ChildProposed(child_id="1-1", parent_id="?")}, "parent_id must be"),
    ({"child_proposed": pb.ChildProposed(child_id="1-1")}, "notation is no net"),
    ({"iteration_started": pb.IterationStarted(parent_ids=["1-1", "x"])}, "parent_ids must be"),
    ({"epoch_completed": pb.EpochCompleted(child_id="1-1")}, "evaluation has wrong counts"),
    ({"winner_evaluated": pb.WinnerEvaluated(child_id="1-1")}, "evaluation has wrong counts"),
    ({"search_succeeded": pb.SearchSucceeded(reason=2)}, "winner_id must be"),  # type: ignore[arg-type]
    ({"search_failed": pb.SearchFailed()}, "search_failure is missing"),
    ({"children_selected": pb.ChildrenSelected(iteration=1)}, "incumbent_id must be"),
    ({"search_started": pb.SearchStarted()}, "block is missing"),
]


@pytest.mark.parametrize(("fact", "reason"), UNREADABLE, ids=[reason for _, reason in UNREADABLE])
def test_what_cannot_be_read_names_sequence_and_field(fact: dict[str, Any], reason: str) -> None:
    """The message says which event, which fact and which field."""
    payload = pb.Event(search_id="a", sequence=3, **fact).SerializeToString()

    with pytest.raises(UnknownEventError, match=f"event 3 of search a cannot be read: {next(iter(fact))}: {reason}"):
        decode(payload)


@settings(max_examples=300)
@given(payload=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(payload: bytes) -> None:
    """No bytes make the codec raise anything but its own error."""
    try:
        found = decode(payload)
    except UnknownEventError:
        return
    assert isinstance(found.fact, ALL_FACTS)


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_events_are_events_or_refused(data: st.DataObject) -> None:
    """The same for real events with some bytes changed, added or cut off."""
    payload = bytearray(encode(_envelope(data.draw(st.one_of(*FACTS.values())))))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(payload)))
        payload[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    try:
        found = decode(bytes(payload))
    except UnknownEventError:
        return
    assert isinstance(found.fact, ALL_FACTS)
