# SPDX-License-Identifier: Apache-2.0
"""What facts are counted as, and that neither their number nor their contents make another series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from control_plane import ControlPlane, running
from exposition import Series, parse
from memory_journal import MemoryJournal

from nas.child import ChildId
from nas.search import events
from nas.search.reasons import FailureReason, LostReason
from server.codec.envelope import Envelope
from server.files import StateFiles
from server.journal.base import SequenceConflictError
from server.rpc.servicer import SERVICE
from server.sinks.gpus import Gpus
from server.sinks.metrics import Metrics
from server.sinks.readings import render
from server.sinks.tally import Tally
from server.sinks.timed_journal import TimedJournal

SEARCHES = 1_200
MOST_SERIES = 300
"""Of one server, whatever happens; from the security checklist."""


def _series(metrics: Metrics) -> Series:
    return parse(metrics.render().decode())


async def _transcript(folder: Path) -> list[Envelope]:
    """Everything that happens in a small search."""
    async with running(ControlPlane(folder=folder)) as plane:
        view = await plane.start()
        await plane.end(view.search_id)
        return await plane.events(view.search_id)


def _count(envelopes: Sequence[Envelope]) -> Series:
    metrics = Metrics(SERVICE)
    tally = Tally(metrics)
    for envelope in envelopes:
        tally(envelope)
    return _series(metrics)


async def test_a_search_is_counted(tmp_path: Path) -> None:
    """Children, attempts, epochs and images are those of the journal."""
    transcript = await _transcript(tmp_path)
    facts = [envelope.fact for envelope in transcript]
    started = facts[0]
    assert isinstance(started, events.SearchStarted)
    epochs = sum(isinstance(fact, events.EpochCompleted) for fact in facts)
    trained = sum(isinstance(fact, events.ChildSucceeded) for fact in facts)

    series = _count(transcript)

    ends = [value for name, value in series.items() if name.startswith("nas_children_total") and "succeeded" in name]
    assert trained == sum(ends) == series["nas_child_seconds_count"] == series['nas_attempts_total{kind="training"}']
    assert epochs == series["nas_epochs_total"] == series["nas_epoch_seconds_count"]
    assert epochs * sum(started.dataset.counts.train) == series["nas_trained_images_total"]
    assert 1 == series['nas_attempts_total{kind="test_evaluation"}']
    assert 0 == series["nas_images_per_second"]
    assert 0 == series['nas_resumes_total{of="attempt"}']


async def test_faults_are_counted_by_their_kind(tmp_path: Path) -> None:
    """A lost attempt and a failed child, of which the former puts the child back into the queue."""
    transcript = await _transcript(tmp_path)
    launched = next(n for n, envelope in enumerate(transcript) if isinstance(envelope.fact, events.AttemptLaunched))
    child = ChildId(1, 1)
    lost = events.AttemptLost(child_id=child, attempt=1, reason=LostReason.WORKER_SIGNALLED, detail="/home/ann/x.png")
    failed = events.ChildFailed(child_id=child, attempt=2, reason=FailureReason.DIVERGED, detail="NaN")
    story = transcript[: launched + 1] + [replace(transcript[launched], fact=fact) for fact in (lost, failed)]

    series = _count(story)

    assert 1 == series['nas_faults_total{kind="worker_signalled"}'] == series['nas_faults_total{kind="diverged"}']
    assert 1 == sum(value for name, value in series.items() if "nas_children_total" in name and "failed" in name)
    assert 0 == series["nas_child_seconds_count"]


async def test_waiting_for_a_worker_is_timed(tmp_path: Path) -> None:
    """By the wall clock, which goes on while nothing of the search runs; a pause is nobody's wait."""
    transcript = await _transcript(tmp_path)
    launched = next(n for n, envelope in enumerate(transcript) if isinstance(envelope.fact, events.AttemptLaunched))
    waiting = [replace(envelope, time_ns=0) for envelope in transcript[:launched]]
    pause: tuple[events.Event, ...] = (
        events.PauseRequested(principal=""),
        events.SearchPaused(),
        events.SearchResumed(principal=""),
    )
    paused = [
        replace(transcript[launched], time_ns=second * 10**9, fact=fact)
        for second, fact in zip((20, 20, 500), pause, strict=True)
    ]

    at_once = _count([*waiting, replace(transcript[launched], time_ns=60 * 10**9)])
    after_a_pause = _count([*waiting, *paused, replace(transcript[launched], time_ns=507 * 10**9)])

    assert (1, 60) == (at_once["nas_queue_seconds_count"], at_once["nas_queue_seconds_sum"])
    assert (1, 7) == (after_a_pause["nas_queue_seconds_count"], after_a_pause["nas_queue_seconds_sum"])


async def test_the_number_of_series_never_changes(tmp_path: Path) -> None:
    """Not after 1,200 searches, and neither search nor child stands in one."""
    transcript = await _transcript(tmp_path)
    metrics = Metrics(SERVICE)
    tally = Tally(metrics)
    before = set(_series(metrics))

    for number in range(SEARCHES):
        for envelope in transcript:
            tally(replace(envelope, search_id=f"{number:012x}"))

    after = _series(metrics)
    assert before == set(after)
    assert len(before) <= MOST_SERIES
    assert not any("0000000000" in name or '"1-1"' in name for name in after)
    assert (
        SEARCHES * sum(isinstance(each.fact, events.EpochCompleted) for each in transcript) == after["nas_epochs_total"]
    )


async def test_a_restarted_server_counts_on(tmp_path: Path) -> None:
    """What follows from the journal has the same value after recovery as before."""
    journal = MemoryJournal()
    before, after = Metrics(SERVICE), Metrics(SERVICE)
    async with running(ControlPlane(folder=tmp_path, journal=journal, tallies=(Tally(before),))) as plane:
        for number in (1, 2):
            await plane.end((await plane.start(number)).search_id)
    async with running(ControlPlane(folder=tmp_path, journal=journal, tallies=(Tally(after),))) as plane:
        await plane.registry.replayed()

    assert _series(before)["nas_epochs_total"] > 0
    assert pytest.approx(_series(before)) == _series(after)  # sums of seconds, in another order


async def test_a_tally_that_fails_stops_nothing(tmp_path: Path) -> None:
    """Neither a running search nor a recovery."""

    def fail(_envelope: Envelope) -> None:
        raise RuntimeError("a bug that was planned")

    journal = MemoryJournal()
    async with running(ControlPlane(folder=tmp_path, journal=journal, tallies=(fail,))) as plane:
        view = await plane.end((await plane.start()).search_id)
    async with running(ControlPlane(folder=tmp_path, journal=journal, tallies=(fail,))) as plane:
        recovered = plane.registry.view(view.search_id)

    assert view.search == recovered.search


async def test_the_page_shows_what_is_the_case(tmp_path: Path) -> None:
    """States of searches, the best and the smallest child of those that run, workers and the queue."""
    metrics = Metrics(SERVICE)
    files = StateFiles(tmp_path)
    async with running(ControlPlane(folder=tmp_path)) as plane:
        empty = parse((await render(metrics, plane.registry, plane.hub, files, Gpus(None, ()))).decode())
        view = await plane.start(max_iterations=10_000)
        await plane.wait_for(view.search_id, events.ChildrenSelected)
        page = parse((await render(metrics, plane.registry, plane.hub, files, Gpus(None, ()))).decode())
        children = plane.registry.view(view.search_id).search.children.values()

    trained = [child for child in children if child.evaluation is not None]
    assert math.isnan(empty["nas_best_accuracy_ratio"])
    assert (0, 1) == (empty['nas_searches{state="running"}'], page['nas_searches{state="running"}'])
    accuracies = [float(child.evaluation.accuracy) for child in trained if child.evaluation is not None]
    assert max(accuracies) == pytest.approx(page["nas_best_accuracy_ratio"])
    assert min(child.param_count for child in trained) == page["nas_smallest_parameters"]
    assert 1 == page['nas_workers{state="busy"}'] + page['nas_workers{state="free"}']
    assert page["nas_queued_attempts"] > 0
    assert page["nas_iteration"] >= 1


async def test_appends_are_timed() -> None:
    """Each acknowledged append and its events are counted, one that came too late is not."""
    metrics = Metrics(SERVICE)
    journal = TimedJournal(MemoryJournal(), metrics.service)

    await journal.append("a", 0, [b"1", b"2"])
    await journal.append("a", 2, [b"3"])

    with pytest.raises(SequenceConflictError):
        await journal.append("a", 2, [b"4"])
    series = _series(metrics)
    assert (2, 3) == (series["nas_journal_append_seconds_count"], series["nas_journal_events_total"])
    assert 0 == series["nas_journal_errors_total"]
