# SPDX-License-Identifier: Apache-2.0
"""The searches of the golden journals: together they contain every kind of event, at fixed times under fixed ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search_driver import Driver, Fails, Loses, make_config, scripted

from nas.blocks import BlockType
from nas.child import ChildId
from nas.config import Device, Precision, SelectionMetric, TrainingConfig
from nas.recipe import Finish
from nas.search import commands
from nas.search.reasons import FailureReason, LostReason
from server.codec.envelope import Envelope, encode
from server.journal.sqlite import SqliteJournal

START_SECONDS = 1_790_000_000
ONE_EPOCH = TrainingConfig(max_epochs=1, device=Device.CPU, precision=Precision.FP32)


def succeeded() -> Driver:
    """With a selection metric of its own, attempts lost in several ways, a diverged child, and skipped ones."""
    faults: dict[tuple[str, int], Loses | Fails] = {
        ("1-1", 1): Loses(LostReason.WORKER_SIGNALLED, after=1),
        ("1-1", 2): Loses(LostReason.SERVER_RESTARTED),
        ("1-2", 1): Fails(FailureReason.DIVERGED, after=1),
    }
    config = make_config(
        block=BlockType.SE_INCEPTION,
        initial="C(8,28) F() FC(2)",
        max_iterations=3,
        max_parameters=60_000,
        selection_metric=SelectionMetric.BALANCED_ACCURACY,
    )
    driver = Driver(config, faults=faults)
    driver.run()
    return driver


def failed() -> Driver:
    """No attempt of any child comes to an end."""
    faults = {(f"1-{child}", attempt): Loses(LostReason.OUT_OF_MEMORY) for child in range(1, 5) for attempt in (1, 2)}
    driver = Driver(make_config(training=ONE_EPOCH), faults=faults)
    driver.run()
    return driver


def out_of_time() -> Driver:
    """The running time is used up in the second iteration."""
    driver = Driver(make_config(training=ONE_EPOCH, time_budget_seconds=60), scripted({"1": 70, "2-1": 90}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.launch("2-2")
    driver.send(commands.ReachTimeBudget())
    driver.lose(LostReason.CANCELLED)
    driver.run()
    return driver


def cancelled() -> Driver:
    """In the second iteration, with one child trained, one in training and others waiting."""
    driver = Driver(make_config(training=ONE_EPOCH), scripted({"1": 70, "2-1": 90}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.launch("2-2")
    driver.send(commands.CancelSearch(principal="ada"))
    driver.lose(LostReason.CANCELLED)
    return driver


def deleted() -> Driver:
    """Cancelled at once and forgotten."""
    driver = Driver(make_config(training=ONE_EPOCH))
    driver.send(commands.CancelSearch(principal="ada"))
    driver.send(commands.DeleteSearch(principal="ada"))
    return driver


def paused() -> Driver:
    """Paused, resumed, and paused again for good, with a child that has a checkpoint."""
    driver = Driver(make_config())
    first, epoch, *_ = driver.reports(driver.launch("1-1"))
    driver.send(first)
    driver.send(epoch)
    for command in (commands.PauseSearch(principal="ada"), commands.ResumeSearch(principal="ada")):
        driver.send(command)
    driver.send(commands.PauseSearch(principal="bob"))
    driver.lose(LostReason.CANCELLED)
    return driver


def running() -> Driver:
    """Killed in the first iteration: one child trained, one in its second epoch."""
    driver = Driver(make_config())
    driver.attempt("1-1")
    work = driver.launch("1-2")
    started, epoch, *_ = driver.reports(work)
    driver.send(started)
    driver.send(epoch)
    assert driver.children["1-2"].child_id == ChildId(1, 2)
    return driver


def finished() -> Driver:
    """The best net is trained once more with a lost attempt, and the smallest one fails at it."""
    faults: dict[tuple[str, int], Loses | Fails] = {
        ("2-1", 1): Loses(LostReason.PREEMPTED, after=1),
        ("2-2", 1): Fails(FailureReason.DIVERGED),
    }
    config = make_config(training=ONE_EPOCH, max_iterations=1, finish=Finish.SHORT)
    driver = Driver(config, scripted({"1": 70, "1-4": 80, "2": 90}), faults)
    driver.run()
    return driver


SEARCHES: tuple[Callable[[], Driver], ...] = (
    *(succeeded, failed, out_of_time, cancelled, deleted, paused, running, finished),
)


def search_id(number: int) -> str:
    """The id of the number-th golden search."""
    return f"{number:012x}"


async def write_journal(folder: Path) -> dict[str, Driver]:
    """Write all searches into a new journal; one event a second."""
    journal = await SqliteJournal.open(folder)
    drivers = {search_id(number): search() for number, search in enumerate(SEARCHES, start=1)}
    for identifier, driver in drivers.items():
        envelopes = [
            Envelope(
                search_id=identifier,
                sequence=sequence,
                time_ns=(START_SECONDS + sequence) * 10**9,
                running_seconds=float(sequence),
                fact=fact,
            )
            for sequence, fact in enumerate(driver.facts, start=1)
        ]
        await journal.append(identifier, 0, [encode(envelope) for envelope in envelopes])
    await journal.close()
    return drivers
