# SPDX-License-Identifier: Apache-2.0
"""Whole searches as text, held still.

After a change of rules, ``NAS_REWRITE_GOLDEN=1 make test PYTEST_ARGS='-k transcripts'`` writes them anew. Commit the
difference only if you understand every line of it: it is what a running search will do otherwise from then on.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from search_cluster import Cluster
from search_driver import Driver, Fails, Loses, make_config, make_start, scripted
from search_transcript import write_transcript

from nas.blocks import BlockType
from nas.child import ChildId
from nas.config import TrainingConfig
from nas.search import commands
from nas.search.control import RejectedError
from nas.search.reasons import FailureReason, LostReason, StopReason
from nas.search.state import SearchState

FOLDER = Path(__file__).parent / "transcripts"
ONE_EPOCH = TrainingConfig(max_epochs=1)


def ordinary() -> Driver:
    """Three iterations of SE-BbNAS, two epochs a child, each better than the one before, one worker."""
    driver = Driver(make_config(block=BlockType.SE_INCEPTION, max_iterations=3))
    driver.run()
    assert StopReason.MAX_ITERATIONS is driver.search.stop
    return driver


def two_workers() -> Driver:
    """The first iteration once more, with two workers that take turns."""
    cluster = Cluster(Driver(make_config(block=BlockType.SE_INCEPTION, max_iterations=1)), slots=2)
    for turn in itertools.takewhile(lambda _: not cluster.is_over, itertools.count()):
        cluster.reconcile()
        cluster.advance(turn)
    return cluster.driver


def declined() -> Driver:
    """The second iteration is worse by one image; the result is the best child of the first."""
    config = make_config(max_iterations=9, training=ONE_EPOCH)
    driver = Driver(config, scripted({"1-2": 91, "1-3": 91, "1": 60, "2-7": 90, "2": 50}))
    driver.run()
    assert StopReason.ACCURACY_DECLINED is driver.search.stop
    return driver


def all_diverged() -> Driver:
    """No child of the first iteration has a finite loss."""
    faults = {(f"1-{y}", 1): Fails(FailureReason.DIVERGED, after=y - 1) for y in range(1, 5)}
    driver = Driver(make_config(training=TrainingConfig(max_epochs=4)), faults=faults)
    driver.run()
    assert SearchState.FAILED is driver.search.state
    return driver


def cancelled() -> Driver:
    """In the second iteration, with one child trained, two in training and five waiting; then asked for once more."""
    driver = Driver(make_config(training=ONE_EPOCH), scripted({"1": 70, "2-1": 90}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    trained, _ = driver.launch("2-2"), driver.launch("2-3")
    driver.send(commands.CancelSearch(principal="ada"))
    driver.send(commands.CancelSearch(principal="bob"))
    driver.send(commands.LaunchAttempt(child_id=ChildId(2, 4)))
    for report in driver.reports(trained):
        driver.send(report)
    driver.lose(LostReason.CANCELLED)
    driver.send(commands.CancelSearch(principal="ada"))
    assert SearchState.CANCELLED is driver.search.state
    return driver


def out_of_time() -> Driver:
    """The running time is used up in the second iteration; its one finished child is the result."""
    driver = Driver(make_config(training=ONE_EPOCH, time_budget_seconds=60), scripted({"1": 70, "2-1": 90}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.launch("2-2")
    driver.send(commands.ReachTimeBudget())
    driver.lose(LostReason.CANCELLED)
    driver.run()
    assert StopReason.TIME_BUDGET is driver.search.stop
    return driver


def lost_attempts() -> Driver:
    """Every way to lose an attempt, of which some children and the test evaluation recover and others do not."""
    faults = {
        ("1-1", 1): Loses(LostReason.WORKER_SIGNALLED, after=1),
        ("1-1", 2): Loses(LostReason.SERVER_RESTARTED),
        ("1-1", 3): Loses(LostReason.TIMED_OUT),
        ("1-2", 1): Loses(LostReason.OUT_OF_MEMORY),
        ("1-2", 2): Loses(LostReason.OUT_OF_MEMORY, after=1),
        **{("1-3", number): Loses(LostReason.WORKER_EXITED) for number in (1, 2, 3)},
        ("1-4", 1): Loses(LostReason.PREEMPTED, after=1),
        ("1-4", 2): Loses(LostReason.DISK_FULL),
        ("1-4", 4): Loses(LostReason.WORKER_SIGNALLED),
        ("1-4", 5): Loses(LostReason.SERVER_RESTARTED),
    }
    driver = Driver(make_config(max_iterations=1), scripted({"1-4": 90}), faults)
    driver.run()
    assert SearchState.SUCCEEDED is driver.search.state
    return driver


def evaluation_lost() -> Driver:
    """The winner cannot be evaluated: a search with children and without a result."""
    faults = {("1-4", number): Loses(LostReason.TIMED_OUT) for number in (2, 3)}
    config = make_config(max_iterations=1, max_attempts=2, training=ONE_EPOCH)
    driver = Driver(config, scripted({"1-4": 90}), faults)
    driver.run()
    assert SearchState.FAILED is driver.search.state
    return driver


def skipped() -> Driver:
    """A tiny net: arguments run out, nets come up twice, and some have too many parameters."""
    settings = {"initial": "C(8,28) F() FC(2)", "max_iterations": 3, "max_parameters": 60_000}
    driver = Driver(make_config(training=ONE_EPOCH, **settings))
    driver.run()
    return driver


def nonsense() -> Driver:
    """Reports that are stale, repeated or false, and commands that come too late."""
    driver = Driver(make_config(max_iterations=1))
    work = driver.launch("1-1")
    first, epoch, *_ = reports = list(driver.reports(work))
    for report in (first, first, epoch, epoch, reports[-1]):
        driver.send(report)
    driver.launch("1-1")
    for report in reports:
        driver.send(report)
    driver.run()
    for command in (make_start(driver.config), commands.CancelSearch(), commands.ReachTimeBudget(), epoch):
        try:
            driver.send(command)
        except RejectedError:
            continue
    return driver


SEARCHES: tuple[Callable[[], Driver], ...] = (
    ordinary,
    two_workers,
    declined,
    all_diverged,
    cancelled,
    out_of_time,
    lost_attempts,
    evaluation_lost,
    skipped,
    nonsense,
)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.__name__)
def test_transcript(search: Callable[[], Driver]) -> None:
    """The search goes as it went when its transcript was reviewed, to the last fact."""
    path = FOLDER / f"{search.__name__}.txt"

    text = write_transcript(search())

    if os.environ.get("NAS_REWRITE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


def test_every_transcript_has_its_search() -> None:
    """No file is left of a search that is not tried any more."""
    assert {f"{search.__name__}.txt" for search in SEARCHES} == {path.name for path in FOLDER.iterdir()}
