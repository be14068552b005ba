# SPDX-License-Identifier: Apache-2.0
"""The pieces of plain text, and what the options turn words into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest
import search_records as records
from google.protobuf.duration_pb2 import Duration

from client.options import parse_net, parse_span, parse_whole
from client.phrases import describe_state, settings_text, short_dataset
from client.settings import parse_address, parse_seconds
from client.text import binary_size, clock, count, lapse, table
from client.views import Place, closing_summary, plan_view
from nas.api.v1 import search_pb2


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (3 * 2**40, "3.0 TiB")],
)
def test_binary_size(size: int, expected: str) -> None:
    """The unit is the largest that leaves at least 1."""
    assert expected == binary_size(size)


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00:00"), (59, "0:00:59"), (360_000, "100:00:00")])
def test_clock(seconds: int, expected: str) -> None:
    """Hours are not cut off at a day."""
    assert expected == clock(Duration(seconds=seconds))


def test_count() -> None:
    """One is singular."""
    assert ["0 epochs", "1 epoch", "2 epochs"] == [count(number, "epoch") for number in range(3)]


def test_table() -> None:
    """Columns are aligned, numbers to the right; a cell cannot break its line."""
    text = table(("NAME", "SIZE"), [("a\nb", "1"), ("long name", "1000")], right=frozenset({"SIZE"}))

    assert ["NAME       SIZE", r"a\nb          1", "long name  1000"] == text.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("30m", 1800), ("12h", 43_200), ("2d", 172_800), ("45", 45), ("none", 0), ("0", 0)],
)
def test_span(text: str, expected: int) -> None:
    """A time span has a unit or counts seconds."""
    assert expected == parse_span(text)


@pytest.mark.parametrize("text", ["", "h", "-1s", "1.5h", "1w", "1 h", "9999999999999s", "999999999999d"])
def test_no_span(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(click.BadParameter):
        parse_span(text)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:50051", "localhost:1", "nas-server.lab:65535", "[::1]:50051", "unix:/run/nas.sock"]
)
def test_address(text: str) -> None:
    """Host and port, or the path of a socket."""
    assert text == parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "http://localhost:1",
        "::1:50051",
        "unix:",
        f"unix:/{'x' * 107}",
    ],
)
def test_no_address(text: str) -> None:
    """Anything else is refused, instead of being taken for a name that nobody has."""
    with pytest.raises(click.BadParameter, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "86401", "soon"])
def test_no_seconds(text: str) -> None:
    """A wait is positive and at most a day."""
    with pytest.raises(click.BadParameter, match="is no number of seconds"):
        parse_seconds(text)


def test_whole_numbers_fit_their_field() -> None:
    """The largest number of a field is read, the next one is refused."""
    assert 2**31 - 1 == parse_whole(32)("2147483647")
    with pytest.raises(click.BadParameter, match="2147483647"):
        parse_whole(32)("2147483648")
    with pytest.raises(click.BadParameter):
        parse_whole(64)("1" * 5000)


def test_a_net_is_brought_into_its_canonical_form() -> None:
    """Separators of the paper are read; what is no net is refused with the position."""
    assert "C(64,3) F() FC(10)" == parse_net("C( 64, 3 ); F() FC(10)")
    with pytest.raises(click.BadParameter, match="character 6"):
        parse_net("C(64 3) F() FC(10)")


def test_summary_of_a_failure() -> None:
    """A search without a result says why and claims no winner."""
    search = records.running_search()
    search.state = search_pb2.Search.STATE_FAILED
    search.failure_reason = search_pb2.SEARCH_FAILURE_NO_VALID_CHILDREN
    search.failure_detail = "all four diverged."

    expected = "failed after 0:01:05: nothing was trained successfully (all four diverged)."
    assert f"Search {records.SEARCH_ID} {expected}" == closing_summary(search)


def test_the_summary_ends_with_what_was_found() -> None:
    """One sentence: size, accuracy on the test part, time, beside what needs no net."""
    search = records.search()
    plain = closing_summary(search).splitlines()[-1]
    share = search_pb2.Estimate(value=0.85, low=0.64, high=0.948)
    neighbours = search_pb2.Neighbours(
        k=5, train_count=100, accuracy=search_pb2.Estimate(value=0.8), balanced_accuracy=search_pb2.Estimate(value=0.7)
    )
    assessment = search_pb2.Assessment(accuracy=share, balanced_accuracy=share, neighbours=neighbours)
    search.assessed.add(child_id="1-3", evaluation=records.TEST, assessment=assessment)
    assessed = closing_summary(search).splitlines()
    search.config.selection_metric = search_pb2.SELECTION_METRIC_BALANCED_ACCURACY
    search.running_time.seconds = 720

    found = "Found a net of 418,018 parameters: test"
    assert f"{found} accuracy 85.00 % in 65 s." == plain
    beside = "; nearest neighbours reach 80.00 % on the same images."
    assert f"{found} accuracy 85.00 % (64.00-94.80) in 65 s{beside}" == assessed[-1]
    assert "nearest neighbours   80.00 %, balanced accuracy 70.00 %, k = 5" in assessed
    balanced = closing_summary(search).splitlines()[-1]
    assert f"{found} balanced accuracy 85.00 % (64.00-94.80) in 12 min{beside.replace('80', '70')}" == balanced


def test_the_summary_says_why_no_neighbours_were_asked() -> None:
    """Images are too large for them; where a server is older, nothing is said."""
    search = records.search()
    assessment = search_pb2.Assessment(accuracy=search_pb2.Estimate(value=0.85))
    search.assessed.add(child_id="1-3", evaluation=records.TEST, assessment=assessment)
    older = closing_summary(search)
    search.dataset.shape.height = 147

    assert "neighbours" not in older
    assert "nearest neighbours   left out: images have 4116 values, more than 4096" in closing_summary(search)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")]
)
def test_lapse(seconds: int, expected: str) -> None:
    """As people say it in a sentence."""
    assert expected == lapse(Duration(seconds=seconds))


def test_summary_of_a_cancelled_search() -> None:
    """A cancelled search has a best child so far, not a winner, and no test accuracy."""
    search = records.search()
    search.state = search_pb2.Search.STATE_CANCELLED
    search.ClearField("test_evaluation")

    summary = closing_summary(search)

    assert "cancelled after 0:01:05: somebody asked for it." in summary
    assert "best so far" in summary
    assert "winner" not in summary
    assert "test accuracy" not in summary


def test_a_paused_search_says_why() -> None:
    """A search that waits for room says so beside its state."""
    running = search_pb2.Search.STATE_RUNNING

    assert "running" == describe_state(running, search_pb2.PAUSE_REASON_UNSPECIFIED)
    assert "running, paused: disk full" == describe_state(running, search_pb2.PAUSE_REASON_DISK_FULL)


def test_long_lines_break_between_words() -> None:
    """In a terminal nothing is cut in two, and what has no blanks stays in one piece beside its name."""
    place = Place(columns=60, state_dir=Path("/home/somebody/.local/state/nas"))

    lines = closing_summary(records.search(), place).splitlines()

    (path,) = [line for line in lines if "safetensors" in line]
    assert f"/home/somebody/.local/state/nas/searches/{records.SEARCH_ID}/weights/1-3.safetensors" == path.removeprefix(
        "weights".ljust(21)
    )
    assert max(len(line) for line in lines if line != path) <= 60
    assert any(line.startswith(" " * 21 + "F() FC") or line.startswith(" " * 21 + "P(1,1)") for line in lines), lines
    whole = closing_summary(records.search(), replace(place, columns=None))
    assert whole.split() == " ".join(lines).split()


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (search_pb2.TrainingConfig(), ""),
        (search_pb2.TrainingConfig(augment="none"), ""),
        (search_pb2.TrainingConfig(augment="flip,affine"), ", augmented by flip,affine"),
        (search_pb2.TrainingConfig(batch_size=64), ""),
        (search_pb2.TrainingConfig(batch_size=32, augment="flip"), ", augmented by flip, 32 images a step"),
    ],
)
def test_settings_name_what_the_data_may_have_chosen(training: search_pb2.TrainingConfig, expected: str) -> None:
    """In the first line of a search and in its view; a search by the paper's recipe reads as before."""
    config = search_pb2.SearchConfig(preset=search_pb2.PRESET_PAPER, seed=7, training=training)

    assert f"preset paper, seed 7{expected}" == settings_text(config)


def test_a_plan_names_what_the_data_have_chosen() -> None:
    """It is what one asks before a search starts."""
    plan = records.plan()
    usual = plan_view(plan).splitlines()
    plan.config.training.augment = "affine"

    assert [*usual[:3], "images       augmented by affine", *usual[3:]] == plan_view(plan).splitlines()


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("digits", "digits"),
        ("folder:pets", "folder:pets"),
        ("folder:/home/somebody/pictures/pets/", "folder:.../pets"),
        ("kau:/" + "x" * 19, "kau:/" + "x" * 19),
    ],
)
def test_short_dataset(dataset: str, expected: str) -> None:
    """A long path is named by its end, as in lists."""
    assert expected == short_dataset(dataset)
