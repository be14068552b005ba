# SPDX-License-Identifier: Apache-2.0
"""What the live view knows is folded from events, whatever comes and however late one joins."""

from __future__ import annotations

import time
from typing import Any

import pytest
import search_records as records
import search_stream as stream

from client.live.evolve import FOLDS, NOTABLE, evolve, find, hear, lose
from client.live.frame import render
from client.live.state import NOTE_LIMIT, QUIET_SECONDS, ChildRow, LiveState
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

CHILD = search_pb2.Child
ITERATION = event_pb2.IterationStarted(iteration=1, parent_ids=["0-1"])
OPENING: tuple[dict[str, Any], ...] = (
    {"search_started": stream.search_started()},
    {"iteration_started": ITERATION},
    {"child_proposed": stream.proposed("1-1")},
    {"child_proposed": stream.proposed("1-2")},
)
TRAINED: tuple[dict[str, Any], ...] = (
    {"attempt_launched": stream.launched("1-1")},
    {"attempt_started": stream.started("1-1")},
    {"epoch_completed": stream.epoch("1-1", 1)},
    {"child_succeeded": stream.succeeded("1-1")},
)
LOST = event_pb2.AttemptLost(child_id="1-1", attempt=1, reason=search_pb2.LOST_REASON_OUT_OF_MEMORY)
CANCELLED = event_pb2.SearchCancelled(incumbent_id="1-1")
LAUNCHED: Any = {"attempt_launched": stream.launched("1-1")}


def fold(*facts: dict[str, Any], opening: tuple[dict[str, Any], ...] = OPENING) -> LiveState:
    """The state after facts that came a second apart, as they happened."""
    state = LiveState(search_id=records.SEARCH_ID)
    for sequence, fact in enumerate((*opening, *facts), start=1):
        state = evolve(state, stream.event(sequence, **fact), float(stream.BEGIN + sequence))
    return state


def first(state: LiveState) -> ChildRow:
    """The row of child 1-1."""
    (row,) = [row for row in state.children if row.child_id == "1-1"]
    return row


def test_every_fact_is_folded() -> None:
    """The API's facts are those that the view knows; the notable ones are among them."""
    facts = {field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields}

    assert facts == FOLDS.keys()
    assert facts >= NOTABLE


def test_a_proposed_child() -> None:
    """A row holds the transformation with its arguments, the net and its parameters."""
    expected = ChildRow(
        child_id="1-1", parent_id="0-1", origin="widen(1, by=32)", notation=records.NOTATION, param_count=418_018
    )

    assert expected == first(fold())


def test_the_initial_model() -> None:
    """A child without a parent is called what it is."""
    proposal = event_pb2.ChildProposed(child_id="0-1", architecture=records.ARCHITECTURE)

    (row,) = fold({"child_proposed": proposal}, opening=()).children

    assert ("initial model", "") == (row.origin, row.parent_id)


def test_a_child_in_training() -> None:
    """Attempt, device, epochs, measurements and speed are those of the last report."""
    row = first(fold(*TRAINED[:3]))

    assert (CHILD.STATE_RUNNING, 1, "cpu fp32", 1, 512) == (
        row.state,
        row.attempt,
        row.device,
        row.epochs,
        row.images_per_second,
    )
    assert records.VALIDATION == row.evaluation


def test_a_trained_child() -> None:
    """A row ends with the epochs done and the evaluation of the epoch that was kept."""
    row = first(fold(*TRAINED))

    assert (CHILD.STATE_SUCCEEDED, stream.EPOCHS, records.VALIDATION) == (row.state, row.epochs, row.evaluation)


def test_a_lost_attempt_waits_for_the_next() -> None:
    """Its child is proposed again, keeps its epochs, and a line says why."""
    state = fold(*TRAINED[:3], {"attempt_lost": LOST})
    row = first(state)

    assert (CHILD.STATE_PROPOSED, 1, 0) == (row.state, row.epochs, row.images_per_second)
    assert "0:00:08  child 1-1 attempt 1 lost: out of memory" == state.notes[-1]


def test_a_new_attempt_counts_from_its_checkpoint() -> None:
    """What is not in the checkpoint is not done any more."""
    again = (
        {"attempt_lost": LOST},
        {"attempt_launched": stream.launched("1-1", attempt=2)},
        {"attempt_started": stream.started("1-1", attempt=2, after=0)},
    )
    row = first(fold(*TRAINED[:3], *again))

    assert (CHILD.STATE_RUNNING, 2, 0) == (row.state, row.attempt, row.epochs)


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        ({"child_failed": event_pb2.ChildFailed(child_id="1-1")}, CHILD.STATE_FAILED),
        ({"child_cancelled": event_pb2.ChildCancelled(child_id="1-1")}, CHILD.STATE_CANCELLED),
    ],
)
def test_a_child_that_ends_otherwise(fact: dict[str, Any], state: int) -> None:
    """A child that failed or was cancelled says so; its neighbour is untouched."""
    rows = fold(fact).children

    assert [state, CHILD.STATE_PROPOSED] == [row.state for row in rows]


def test_an_iteration_replaces_the_last() -> None:
    """Only the current iteration's children are shown; the incumbent of the one before stays."""
    following = event_pb2.IterationStarted(iteration=2, parent_ids=["1-1"])
    state = fold(*TRAINED, {"children_selected": stream.selected(1, "1-1")}, {"iteration_started": following})

    assert (2, (), "1-1") == (state.iteration, state.children, state.incumbent and state.incumbent.child_id)
    assert ("BEST 1-1 (90.00 %, 418018 parameters) by highest metric, 1.25 points above 1-1",) == state.choices


def test_finishing_replaces_the_last_iteration() -> None:
    """Its children are the only ones shown; the best child of the search stays known, then the winner is."""
    started = event_pb2.FinishingStarted(iteration=2, parent_ids=["1-1"])
    proposal = event_pb2.ChildProposed(child_id="2-1", parent_id="1-1", architecture=records.ARCHITECTURE)
    begun = fold(*TRAINED, {"finishing_started": started}, {"child_proposed": proposal})
    (row,) = begun.children
    completed = event_pb2.FinishingCompleted(winner_id="2-1")
    done = evolve(begun, stream.event(11, finishing_completed=completed), stream.BEGIN + 11.0)

    assert begun.is_finishing
    assert ("2-1", "1-1", "finishing") == (row.child_id, row.parent_id, row.origin)
    assert begun.incumbent is not None
    assert "1-1" == begun.incumbent.child_id
    assert row == done.incumbent


def test_the_test_evaluation_is_no_training() -> None:
    """While the winner is evaluated its row stays as it is, lost attempts included."""
    kind = search_pb2.ATTEMPT_KIND_TEST_EVALUATION
    testing = (
        {"attempt_launched": event_pb2.AttemptLaunched(child_id="1-1", attempt=2, kind=kind)},
        {"attempt_started": stream.started("1-1", attempt=2)},
        {"attempt_lost": LOST},
    )
    trained = fold(*TRAINED)
    tested = fold(*TRAINED, *testing)

    assert trained.children == tested.children
    assert "1-1" == tested.testing_id


def test_the_end() -> None:
    """The winner and its test accuracy are there, also of an iteration that was never selected."""
    winner = event_pb2.WinnerEvaluated(child_id="1-1", evaluation=records.TEST)
    ending = event_pb2.SearchSucceeded(winner_id="1-1")
    state = fold(*TRAINED, {"winner_evaluated": winner}, {"search_succeeded": ending})

    assert search_pb2.Search.STATE_SUCCEEDED == state.state
    assert (records.TEST, "1-1", "") == (
        state.test_evaluation,
        state.incumbent and state.incumbent.child_id,
        state.testing_id,
    )


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        ({"pause_requested": event_pb2.PauseRequested()}, search_pb2.Search.STATE_PAUSING),
        ({"search_paused": event_pb2.SearchPaused()}, search_pb2.Search.STATE_PAUSED),
        ({"cancel_requested": event_pb2.CancelRequested()}, search_pb2.Search.STATE_CANCELLING),
        ({"search_cancelled": CANCELLED}, search_pb2.Search.STATE_CANCELLED),
        ({"search_failed": event_pb2.SearchFailed()}, search_pb2.Search.STATE_FAILED),
    ],
)
def test_states_of_the_search(fact: dict[str, Any], state: int) -> None:
    """A search that is cancelled or fails says so."""
    assert (search_pb2.Search.STATE_RUNNING, state) == (fold().state, fold(fact).state)


def test_warnings_are_noted_and_kept() -> None:
    """What a user should know about the settings is on the screen, and at hand for the end; nothing can steer it."""
    beginning = stream.search_started()
    beginning.warnings.append("the classes \x1b[2J differ")

    state = fold({"search_started": beginning}, opening=())

    assert ("the classes \\x1b[2J differ",) == state.warnings
    assert ("0:00:00  Warning: the classes \\x1b[2J differ",) == state.notes


def test_an_unknown_fact_is_admitted() -> None:
    """An event of a newer server changes nothing and is not hidden."""
    state = fold({})

    assert fold().children == state.children
    assert "a newer nas-client shows it" in state.notes[-1]


def test_notes_do_not_pile_up() -> None:
    """The latest notes are kept, the oldest go."""
    state = fold(*({"attempt_lost": LOST} for _ in range(NOTE_LIMIT + 9)))

    assert NOTE_LIMIT == len(state.notes)
    assert state.notes[-1].startswith(f"0:01:0{3}")


def test_the_clock_goes_on_between_events() -> None:
    """Elapsed time is that of the last event and, while an attempt is running, what has passed since."""
    idle, at_work = fold(), fold(LAUNCHED)

    assert idle.elapsed_seconds(stream.BEGIN + 4 + 100.0) == pytest.approx(4)
    assert at_work.elapsed_seconds(stream.BEGIN + 5 + 100.0) == pytest.approx(105)


def test_a_late_guest_sees_the_right_time() -> None:
    """Whoever joins long after the last event sees the time since then, once the past has been told."""
    late = stream.BEGIN + 5_000.0
    state = LiveState(search_id=records.SEARCH_ID)
    for sequence, fact in enumerate((*OPENING, LAUNCHED), start=1):
        state = evolve(state, stream.event(sequence, **fact), late)

    assert state.elapsed_seconds(late) == pytest.approx(5)
    assert state.elapsed_seconds(late + 1) == pytest.approx(5_001)


def test_a_full_disk() -> None:
    """A sign of life says that the search waits; the next event says that there is room again."""
    state, begin = fold(), stream.BEGIN
    heartbeat = search_service_pb2.Heartbeat(sequence=4, pause_reason=search_pb2.PAUSE_REASON_DISK_FULL)

    waiting = hear(hear(state, heartbeat, begin + 20), heartbeat, begin + 30)
    going = evolve(waiting, stream.event(5, 30, attempt_launched=stream.launched("1-1")), begin + 40)

    assert "running, paused: disk full" in str(next(iter(render(waiting, 80, 24, now=begin + 31).renderables)))
    assert 1 == sum("disk is full" in note for note in waiting.notes)
    assert "paused" not in str(next(iter(render(going, 80, 24, now=begin + 41).renderables)))
    assert going.notes[-1].endswith("The search goes on.")


@pytest.mark.parametrize("ahead", [-3_600.0, 3_600.0])
def test_clocks_may_differ(ahead: float) -> None:
    """A wrong clock here is found out by the first news or the first sign of life."""
    begin = stream.BEGIN + ahead
    state = LiveState(search_id=records.SEARCH_ID)
    for sequence, fact in enumerate((*OPENING, LAUNCHED), start=1):
        state = evolve(state, stream.event(sequence, **fact), begin + 10)
    heartbeat = search_service_pb2.Heartbeat(sequence=5)
    heartbeat.time.FromSeconds(stream.BEGIN + 20)

    heard = hear(state, heartbeat, begin + 20)
    told = evolve(state, stream.event(6, 30, attempt_started=stream.started("1-1")), begin + 30)

    assert heard.elapsed_seconds(begin + 25) == pytest.approx(25)
    assert told.elapsed_seconds(begin + 35) == pytest.approx(35)


def test_the_clock_waits_for_the_connection() -> None:
    """While the server cannot be reached nobody knows whether the search goes on; both ends of that are noted."""
    lost = lose(fold(LAUNCHED), "Lost.", stream.BEGIN + 10.0)
    found = find(lost, "Connected again.", stream.BEGIN + 50.0)

    assert lost.elapsed_seconds(stream.BEGIN + 49.0) == pytest.approx(10)
    assert found.elapsed_seconds(stream.BEGIN + 50.0 + 2 * QUIET_SECONDS) == pytest.approx(51)
    assert ("0:00:10  Lost.", "0:00:10  Connected again.") == found.notes


def test_what_was_missed_tells_nothing_about_clocks() -> None:
    """The first event after a lost connection may be old."""
    found = find(lose(fold(), "Lost.", stream.BEGIN + 10.0), "Connected again.", stream.BEGIN + 50.0)

    caught_up = evolve(found, stream.event(5, 12, attempt_launched=stream.launched("1-1")), stream.BEGIN + 50.0)

    assert found.clock_offset == caught_up.clock_offset


def test_the_clock_stops_at_the_end() -> None:
    """A search that is over gets no older."""
    state = fold({"search_cancelled": CANCELLED})

    assert state.elapsed_seconds(stream.BEGIN + 1_000.0) == pytest.approx(5)


def test_the_clock_stops_in_a_pause() -> None:
    """A pause costs no running time; the clock goes on when a child does."""
    paused = fold({"pause_requested": event_pb2.PauseRequested()}, {"search_paused": event_pb2.SearchPaused()})
    noon = float(stream.BEGIN + 1_000)
    resumed = evolve(paused, stream.event(7, 6, search_resumed=event_pb2.SearchResumed()), noon)
    at_work = evolve(resumed, stream.event(8, 6, **LAUNCHED), noon)

    assert paused.elapsed_seconds(noon) == pytest.approx(6)
    assert resumed.elapsed_seconds(noon + QUIET_SECONDS) == pytest.approx(6)
    assert at_work.elapsed_seconds(noon + QUIET_SECONDS) == pytest.approx(6 + QUIET_SECONDS)


def test_a_search_that_waits_for_its_turn() -> None:
    """A heartbeat says why nothing happens."""
    heartbeat = search_service_pb2.Heartbeat(sequence=4, pause_reason=search_pb2.PAUSE_REASON_NO_FREE_WORKER)

    waiting = hear(fold(), heartbeat, stream.BEGIN + 20)

    assert "running, paused: no free worker" in str(next(iter(render(waiting, 80, 24, now=0.0).renderables)))
    assert "All workers are busy with earlier searches" in waiting.notes[-1]


def test_ten_thousand_events_take_no_time() -> None:
    """Joining late costs less than two seconds of folding on a busy machine, and only the current iteration is kept."""
    events = stream.long_search(10_000)
    state = LiveState(search_id=records.SEARCH_ID)

    begin = time.process_time()
    for event in events:
        state = evolve(state, event, 0.0)

    assert time.process_time() - begin < 2.0
    assert (10_000, stream.CHILDREN) == (state.sequence, len(state.children))
