# SPDX-License-Identifier: Apache-2.0
"""What server and worker say to each other survives the pipe, and nothing that comes out of the pipe can do harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest
import setting_values
from fact_strategies import REPORTS, child_ids, hashes, numbers, shares, texts, trainings
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.child import ChildId
from nas.config import ImageSettings, InputShape
from nas.search import commands, events
from nas.search.reasons import AttemptKind
from nas.settings import settings_of
from server.codec import lines
from server.codec.envelope import Envelope, decode, encode
from server.codec.lines import (
    PULSE,
    LineError,
    TrainedNet,
    WorkerRequest,
    decode_checkpoint,
    decode_report,
    decode_request,
    encode_checkpoint,
    encode_report,
    encode_request,
)
from server.codec.plain import Limits, make_reader
from server.codec.preparing import DataRequest

CHILD = ChildId(2, 3)
ALL_REPORTS = get_args(commands.Report)

requests = st.builds(
    WorkerRequest,
    kind=st.sampled_from(AttemptKind),
    child_id=st.builds(ChildId, st.integers(0, 99), st.integers(1, 99)),
    attempt=numbers,
    notation=texts,
    graph_hash=hashes,
    training=trainings,
    threads=numbers,
    data=st.builds(
        DataRequest,
        dataset=texts,
        data_root=st.none() | texts,
        cache_dir=texts,
        **{each.name: setting_values.values(each) for each in settings_of(ImageSettings)},
        seed=st.integers(0, 2**63 - 1),
        train_limit=numbers,
        folds=numbers,
        fold=numbers,
    ),
    shape=st.builds(InputShape, channels=st.just(3), height=st.integers(1, 99), width=st.integers(1, 99)),
    fingerprint=hashes,
    split_fingerprint=hashes,
    totals=st.lists(numbers, max_size=4).map(tuple),
    commonest=numbers,
    others=st.lists(
        st.builds(
            TrainedNet,
            child_id=child_ids,
            notation=texts,
            graph_hash=hashes,
            best_epoch=numbers,
            weights_path=texts,
            weights_sha256=hashes,
        ),
        max_size=2,
    ).map(tuple),
    epochs_recorded=numbers,
    best_epoch=numbers,
    checkpoint_dir=texts,
    weights_path=texts,
    weights_sha256=hashes,
    epoch_seconds=shares,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100)
@given(request=requests)
def test_a_request_survives_the_pipe(request: WorkerRequest) -> None:
    """One line, and the same record on the other side."""
    line = encode_request(request)

    assert request == decode_request(line)
    assert [len(line) - 1] == [position for position, byte in enumerate(line) if byte == ord("\n")]


def test_every_report_has_a_strategy() -> None:
    """Nothing that a worker can say is left out of these tests."""
    assert set(ALL_REPORTS) == set(REPORTS)


@pytest.mark.parametrize("kind", ALL_REPORTS)
@settings(max_examples=50)
@given(data=st.data())
def test_a_report_survives_the_pipe(kind: type[commands.Report], data: st.DataObject) -> None:
    """Bit for bit, NaN included; whose it is, the server knows from the pipe."""
    report = data.draw(REPORTS[kind])

    line = encode_report(report)

    assert repr(report) == repr(decode_report(line, report.child_id, report.attempt))
    assert [len(line) - 1] == [position for position, byte in enumerate(line) if byte == ord("\n")]


@dataclass(frozen=True)
class Unknown:
    """A record with a field of a kind that no rule covers, deep inside."""

    inner: tuple[str, set[int]] | None = None


@pytest.mark.parametrize("kind", [set[int], object, Any, Callable[[], None], int | str, list[int], bytes, Unknown])
def test_a_field_of_an_unknown_kind_is_an_error_before_anything_is_read(kind: Any) -> None:
    """Unchecked it could end the server, which journals what it reads; modules make their readers when loaded."""
    with pytest.raises(TypeError, match="no rule reads"):
        make_reader(kind, Limits())


def test_every_kind_in_a_report_is_checked() -> None:
    """Whatever the annotations of a report lead to, a value of another kind does not pass."""
    seen: set[Any] = set()

    def visit(kind: Any) -> None:
        if kind in seen:
            return
        seen.add(kind)
        reader = make_reader(kind, Limits())
        wrong: list[Any] = [{"a": 1}, [[[]]], object(), b"x"]
        assert not any(_passes(reader, value) for value in wrong), kind
        if is_dataclass(kind):
            for inner in get_type_hints(kind).values():
                visit(inner)
        for inner in get_args(kind):
            if inner not in (..., type(None)):
                visit(inner)

    for report in ALL_REPORTS:
        visit(report)
    assert {int, float, str, bool} <= seen


def _passes(reader: Callable[[Any], Any], value: Any) -> bool:
    try:
        reader(value)
    except (ValueError, TypeError):
        return False
    return True


def _require_journalable(report: commands.Report) -> None:
    """What was decoded can become an event and come back from its bytes."""
    match report:
        case commands.ReportStarted(runtime=runtime, resumed_after_epoch=epoch):
            fact: events.Event = events.AttemptStarted(
                child_id=CHILD, attempt=1, runtime=runtime, resumed_after_epoch=epoch
            )
        case commands.ReportEpoch(result=result):
            fact = events.EpochCompleted(child_id=CHILD, attempt=1, result=result)
        case commands.ReportTrained():
            fact = events.ChildSucceeded(**{f.name: getattr(report, f.name) for f in fields(report)})
        case commands.ReportEvaluated():
            fact = events.WinnerEvaluated(**{f.name: getattr(report, f.name) for f in fields(report)})
        case commands.ReportFailed(reason=failure, detail=detail):
            fact = events.ChildFailed(child_id=CHILD, attempt=1, reason=failure, detail=detail)
        case commands.ReportLost(reason=lost, detail=detail):
            fact = events.AttemptLost(child_id=CHILD, attempt=1, reason=lost, detail=detail)
    envelope = Envelope(search_id="a", sequence=1, time_ns=0, running_seconds=0.0, fact=fact)
    assert repr(envelope) == repr(decode(encode(envelope)))


def _read(line: bytes) -> None:
    """The one thing that may happen to a line from outside."""
    try:
        report = decode_report(line, CHILD, 1)
    except LineError as error:
        assert str(error).isprintable()  # noqa: PT017 - only where it is refused
        assert len(str(error)) <= lines.MAX_DETAIL_CHARACTERS  # noqa: PT017
        return
    _require_journalable(report)


@settings(max_examples=300)
@given(line=st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_with_one_sentence(line: bytes) -> None:
    """Bytes and JSON of any form are a LineError, which is one printable line."""
    _read(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"[" * 100_000,
        b'{"report":' * 50_000,
        b"9" * 10_000,
        b'{"report":["ReportLost"]}',
        b'{"report":"ReportLost","reason":"cancelled"}',
        b'{"report":"ReportLost","reason":"\x00","detail":""}',
        b'{"report":"ReportLost","reason":"cancelled","detail":"","a\\nb\\u001b[31m":1}',
        b'{"report":"ReportStarted","runtime":7,"resumed_after_epoch":0}',
        b"\xff\xfe",
    ],
    ids=lambda line: line[:24].decode(errors="replace"),
)
def test_typical_garbage_is_refused(line: bytes) -> None:
    """Deep nesting, huge numbers, wrong shapes, wrong encodings."""
    with pytest.raises(LineError) as caught:
        decode_report(line, CHILD, 1)

    assert str(caught.value).isprintable()
    with pytest.raises(LineError):
        decode_request(line)


@pytest.mark.parametrize("kind", ALL_REPORTS)
@settings(max_examples=80)
@given(data=st.data())
def test_a_report_with_one_wrong_value_is_refused_or_harmless(kind: type[commands.Report], data: st.DataObject) -> None:
    """Whatever a worker puts in the place of a value, the result can be journaled or is no report."""
    content = json.loads(encode_report(data.draw(REPORTS[kind])))
    places = list(_places(content))
    *parents, last = data.draw(st.sampled_from(places))
    target = content
    for key in parents:
        target = target[key]
    target[last] = data.draw(json_values | st.sampled_from(["\ud800", "a\nb", 2**31, 2**63, -1, 0.5, "x" * 2000]))

    _read(json.dumps(content).encode())


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("result", "epoch"), "3"),
        (("result", "epoch"), True),
        (("result", "epoch"), 2**31),
        (("result", "epoch"), -1),
        (("result", "seconds"), "1"),
        (("result", "training_loss"), None),
        (("result", "validation", "loss"), "nan"),
        (("result", "validation", "correct"), [0.5]),
        (("result", "validation", "correct"), [-1]),
        (("result", "validation", "total"), [2**63]),
    ],
)
def test_wrong_measurements_are_refused(place: tuple[str, ...], value: object) -> None:
    """Each of these would have gone into an event that cannot be written, and with it the server."""
    validation = {"loss": 0.5, "correct": [1], "total": [2]}
    content: dict[str, Any] = {
        "report": "ReportEpoch",
        "result": {
            "epoch": 1,
            "training_loss": 0.5,
            "validation": validation,
            "seconds": 1.0,
            "images_per_second": 1.0,
        },
    }
    assert decode_report(json.dumps(content).encode(), CHILD, 1)
    target = content
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value

    with pytest.raises(LineError):
        decode_report(json.dumps(content).encode(), CHILD, 1)


def test_details_become_one_printable_line() -> None:
    """What a worker wrote about an error is shortened and cleaned, not refused: somebody wants to read it."""
    detail = "first\nsecond\x1b[31m\ud800" + "x" * 1000

    report = decode_report(
        json.dumps({"report": "ReportLost", "reason": "worker_exited", "detail": detail}).encode(), CHILD, 1
    )

    assert isinstance(report, commands.ReportLost)
    assert ("first second [31m " + "x" * 1000)[: lines.MAX_DETAIL_CHARACTERS] == report.detail


@settings(max_examples=100)
@given(request=requests, data=st.data())
def test_a_request_with_one_wrong_value_is_refused_with_one_error(request: WorkerRequest, data: st.DataObject) -> None:
    """A worker of another version ends with a sentence, not with a stray exception."""
    content = json.loads(encode_request(request))
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(json_values)

    try:
        decode_request(json.dumps(content).encode())
    except LineError as error:
        assert str(error).startswith("no worker request")  # noqa: PT017 - a value of the right type is no error


@given(seconds=st.floats(min_value=0.0, max_value=86_400.0))
def test_the_time_of_a_checkpoint_survives_the_pipe(seconds: float) -> None:
    """To the microsecond; no other line is taken for one."""
    line = encode_checkpoint(seconds)

    assert seconds == pytest.approx(decode_checkpoint(line), abs=1e-6)
    assert decode_checkpoint(PULSE) is None


@pytest.mark.parametrize("said", [b"-1", b"1e999", b"NaN", b'"1"', b"1.000000}}", b"9" * 40 + b".000000", b""])
def test_a_checkpoint_takes_a_time(said: bytes) -> None:
    """Anything else is no sign of a worker of ours."""
    with pytest.raises(LineError):
        decode_checkpoint(b'{"checkpoint_seconds":' + said + b"}\n")


def test_text_that_is_no_utf_8_in_an_assessment_is_refused() -> None:
    """Protobuf answers a lone surrogate with SystemError, which is no reason for the server to end."""
    content = {
        "report": "ReportEvaluated",
        "evaluation": {"loss": 0.5, "correct": [1], "total": [2]},
        "assessment": "\ud800",
        "others": [],
    }

    with pytest.raises(LineError):
        decode_report(json.dumps(content).encode(), CHILD, 1)
