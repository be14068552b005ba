# SPDX-License-Identifier: Apache-2.0
"""The picture of a search fits every terminal, says what matters most in the smallest, and no text steers it."""

from __future__ import annotations

import io
from typing import Any

import pytest
import search_records as records
import search_stream as stream
from rich.cells import cell_len
from rich.console import Console

from client.live.columns import bar
from client.live.evolve import evolve, lose
from client.live.frame import render
from client.live.state import LiveState
from nas.api.v1 import event_pb2, search_pb2

HINT = "Ctrl-C leaves the search running."
LOST = event_pb2.AttemptLost(
    child_id="3-3",
    attempt=1,
    reason=search_pb2.LOST_REASON_OUT_OF_MEMORY,
    detail="the kernel killed the worker at 2 GiB, which is all that it was given",
)
NOW = stream.BEGIN + 310.0
SMALL = """\
Search 3f2a9c01b7de  running  ib on mnist                      iteration 3 of 30
0:05:10 elapsed, 11:54:50 of 12:00:00 left       4/8 children done, 512 images/s

CHILD TRANSFORMATION          PARAMETERS STATE     EPOCHS         LOSS ACCURACY
3-1   widen(1, by=32)             418018 succeeded █████ 10/10  0.2500  90.00 %
3-2   widen(1, by=32)             418018 succeeded █████ 10/10  0.2500  90.00 %
3-3   widen(1, by=32)             418018 succeeded █████ 10/10  0.2500  90.00 %
3-4   widen(1, by=32)             418018 succeeded █████ 10/10  0.2500  90.00 %
3-5   widen(1, by=32)             418018 running   ███░░  7/10  0.2500  90.00 %
3-6   widen(1, by=32)             418018 proposed  ░░░░░  0/10       -        -
3-7   widen(1, by=32)             418018 proposed  ░░░░░  0/10       -        -
3-8   widen(1, by=32)             418018 proposed  ░░░░░  0/10       -        -

incumbent  2-3 (90.00 %, 418018 parameters) widen(1, by=32) of 0-1: C(96,3)
             P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(2)
selection  iteration 2 selected
           BEST 2-3 (90.00 %, 418018 parameters) by highest metric, 1.25 points
             above 1-1





Ctrl-C leaves the search running.
"""


def search(*facts: dict[str, Any]) -> LiveState:
    """A search in the middle of its third iteration, and more facts."""
    state = LiveState(search_id=records.SEARCH_ID)
    for event in stream.long_search(300):
        state = evolve(state, event, stream.BEGIN + 300.0)
    for sequence, fact in enumerate(facts, start=301):
        state = evolve(state, stream.event(sequence, 300, **fact), stream.BEGIN + 300.0)
    return state


def configured(**changes: Any) -> LiveState:
    """A search with other settings."""
    beginning = stream.search_started()
    for name, value in changes.items():
        setattr(beginning.config, name, value)
    return search({"search_started": beginning})


def draw(state: LiveState, width: int = 80, height: int = 24, hint: str = HINT, now: float = NOW) -> list[str]:
    """The lines of a frame, on a terminal so wide that nothing else breaks or cuts them."""
    console = Console(file=io.StringIO(), width=1_000, height=200)
    console.print(render(state, width, height, now=now, hint=hint))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_small_terminal() -> None:
    """At 80x24 everything that matters is there, aligned, with nothing cut."""
    assert SMALL.splitlines() == draw(search())


@pytest.mark.parametrize("height", [1, 5, 10, 16, 24, 48, 100])
@pytest.mark.parametrize("width", [1, 12, 40, 79, 80, 81, 100, 120, 160, 250])
def test_no_size_is_exceeded(width: int, height: int) -> None:
    """Whatever the size, no line is wider and there are no more lines."""
    lines = draw(lose(search(*[{"attempt_lost": LOST}] * 9), "Lost the connection.", NOW), width, height)

    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (40, "CHILD STATE EPOCHS ACCURACY"),
        (75, "CHILD TRANSFORMATION PARAMETERS STATE EPOCHS ACCURACY"),
        (80, "CHILD TRANSFORMATION PARAMETERS STATE EPOCHS LOSS ACCURACY"),
        (90, "CHILD TRANSFORMATION FROM PARAMETERS STATE EPOCHS LOSS ACCURACY"),
        (130, "CHILD TRANSFORMATION FROM PARAMETERS STATE EPOCHS LOSS ACCURACY IMAGES/S ATTEMPT DEVICE"),
        (160, "CHILD TRANSFORMATION FROM PARAMETERS STATE EPOCHS LOSS ACCURACY IMAGES/S ATTEMPT DEVICE NOTATION"),
    ],
)
def test_columns_go_by_priority(width: int, expected: str) -> None:
    """The narrower the terminal, the fewer columns; those that matter most stay longest."""
    (headings,) = [line for line in draw(search(), width) if line.startswith("CHILD")]

    assert expected.split() == headings.split()


def test_a_tall_terminal_shows_notations() -> None:
    """With lines to spare every notation stands in full below its child."""
    lines = draw(search(), height=40)

    assert stream.CHILDREN == lines.count(f"      {records.NOTATION}")


def test_children_that_do_not_fit_are_counted() -> None:
    """A short terminal says how many children it does not show."""
    lines = draw(search(), height=9)

    assert ["3-1", "3-2", "3-3", "3-4"] == [line[:3] for line in lines[4:-1]]
    assert ["4 more; a taller terminal shows them"] == lines[8:]


def test_selection_by_balanced_accuracy_is_shown() -> None:
    """Where balanced accuracy decides, it stands beside accuracy."""
    balanced = configured(selection_metric=search_pb2.SELECTION_METRIC_BALANCED_ACCURACY)
    headings = draw(balanced, 100)[3].split()

    assert ["ACCURACY", "BALANCED"] == headings[-2:]


def test_the_latest_notes_are_shown_whole() -> None:
    """Notes break at words; of those that do not fit the oldest is cut, then dropped."""
    lines = draw(search(*[{"attempt_lost": LOST}] * 4), height=25)
    first = "0:05:00  child 3-3 attempt 1 lost: out of memory (the kernel killed the worker"
    second = "         at 2 GiB, which is all that it was given)"

    assert ["", f"{first} …", first, second, first, second, HINT] == lines[18:]


def test_notes_come_before_a_long_notation() -> None:
    """Where there is no room for both, the incumbent's notation is cut and the latest note is whole."""
    lines = draw(search({"attempt_lost": LOST}), height=21)

    assert "incumbent  2-3 (90.00 %, 418018 parameters) widen(1, by=32) of 0-1: C(96,3) P(1…" == lines[13]
    assert "         at 2 GiB, which is all that it was given)" == lines[-2]


def test_a_lost_connection_is_in_the_header() -> None:
    """The header says for how long nobody has known; the clock stands still."""
    lines = draw(lose(search(), "Lost.", NOW), now=NOW + 12)

    assert lines[0].startswith("Search 3f2a9c01b7de  connection lost 0:00:12 ago  ib on mnist")
    assert lines[1].startswith("0:05:10 elapsed")


def test_the_winner_on_the_test_part() -> None:
    """Who is tested stands in the header, the result beside the incumbent."""
    kind = search_pb2.ATTEMPT_KIND_TEST_EVALUATION
    testing = {"attempt_launched": event_pb2.AttemptLaunched(child_id="2-3", attempt=2, kind=kind)}
    tested = {"winner_evaluated": event_pb2.WinnerEvaluated(child_id="2-3", evaluation=records.TEST)}
    incumbent = "incumbent  2-3 (90.00 %, test 85.00 %, 418018 parameters)"

    assert "running, testing 2-3" in draw(search(testing))[0]
    assert [incumbent] == [line[: len(incumbent)] for line in draw(search(testing, tested)) if "test 85" in line]


def test_finishing_is_a_stage_of_its_own() -> None:
    """The header names its nets, and their bars count epochs of their own."""
    start = stream.search_started()
    start.config.finish = search_pb2.FINISH_FULL
    proposal = event_pb2.ChildProposed(child_id="4-1", parent_id="3-2", architecture=records.ARCHITECTURE)
    state = search(
        {"search_started": start},
        {"finishing_started": event_pb2.FinishingStarted(iteration=4, parent_ids=["3-2"])},
        {"child_proposed": proposal},
        {"attempt_launched": stream.launched("4-1")},
        {"epoch_completed": stream.epoch("4-1", 20)},
    )

    shown = "\n".join(draw(state, 100, 24))

    assert "finishing 4-1" in shown
    assert "iteration 3" not in shown
    assert "20/50" in shown
    assert "0/1 children done" in shown


def test_no_budget_and_nothing_yet() -> None:
    """Without a time budget none is counted down; before the first selection there is no incumbent."""
    beginning = stream.search_started()
    beginning.config.time_budget.Clear()
    state = LiveState(search_id=records.SEARCH_ID)
    state = evolve(state, stream.event(1, search_started=beginning), NOW)

    lines = draw(state)

    assert lines[1].startswith("0:00:01 elapsed, no time budget")
    assert "incumbent  none before the first selection" in lines


def test_before_the_first_event() -> None:
    """There is a picture even of nothing."""
    assert draw(LiveState(search_id=records.SEARCH_ID))[0].startswith(f"Search {records.SEARCH_ID}")


@pytest.mark.parametrize(
    ("name", "shown"), [("\x1b[2J\n", "\\x1b[2J\\n"), ("[bold red]x[/]", "[bold red]x[/]"), ("日本", "日本")]
)
def test_no_text_steers_the_terminal(name: str, shown: str) -> None:
    """Control characters show, markup is no markup, wide letters take the room that they take."""
    lines = draw(configured(dataset=name))

    assert f"ib on {shown}" in lines[0]
    assert 80 == cell_len(lines[0])


@pytest.mark.parametrize(
    ("done", "limit", "expected"),
    [
        (0, 10, "░░░░░  0/10"),
        (3, 10, "█░░░░  3/10"),
        (10, 10, "█████ 10/10"),
        (1, 1, "█████ 1/1"),
        (7, 5, "█████ 7/5"),
        (2, 0, "2"),
    ],
)
def test_bar(done: int, limit: int, expected: str) -> None:
    """A cell is filled when its share of the epochs is done; the bar can be read without colours."""
    assert expected == bar(done, limit, 5).plain
