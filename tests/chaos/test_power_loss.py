# SPDX-License-Identifier: Apache-2.0
"""The power fails at any moment: nothing acknowledged is lost, nothing is there in part, and a server can go on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_proof import SEED, draw_for, proving, scaled
from crash_states import Plant, Trace, judge, put, record, record_again
from power_loss import Adversary

from server.journal import database, high_water, recovery
from server.journal.high_water import HighWater, Mark
from server.journal.store import JournalStore

STATES = 6_000
STATES_OF_A_TRACE = 1_500
STATES_OF_A_RECOVERY = 10


def _sample(trace: Trace, draw: random.Random, count: int) -> list[tuple[int, Adversary]]:
    """Draw moments, in the order in which they come."""
    moments = trace.moments()
    return sorted(draw.sample(moments, min(count, len(moments))), key=lambda moment: moment[0])


def _check(folder: Path, trace: Trace, draw: random.Random, count: int, name: str) -> int:
    """Judge that many moments, and of every fiftieth some moments of its recovery; return how many in all."""
    done = 0
    for moment, files, acknowledged in trace.crashes(_sample(trace, draw, count), name):
        put(folder, files)
        problem, total = judge(folder, trace.history, acknowledged)
        assert not problem, f"{moment}: {problem}"
        done += 1
        if files is not None and done % 50 == 1:
            again = record_again(folder, files, trace.history.up_to(total), acknowledged, draw)
            done += _check_again(folder, again, draw, f"{moment}, then again")
    return done


def _check_again(folder: Path, trace: Trace, draw: random.Random, name: str) -> int:
    """Let the power fail once more while a server starts on what the first failure has left."""
    moments = _sample(trace, draw, STATES_OF_A_RECOVERY)
    for moment, left, acknowledged in trace.crashes(moments, name):
        put(folder, left)
        problem, _ = judge(folder, trace.history, acknowledged)
        assert not problem, f"{moment}: {problem}"
    return len(moments)


@pytest.mark.timeout(1200)
def test_no_moment_loses_anything(tmp_path: Path) -> None:
    """Between any two operations of database, log, high-water file and folder, with three kinds of adversary."""
    bar = "0 acknowledged records lost, 0 transactions in part, 0 journals that do not open"
    with proving("power loss, torn and lost unsynced writes", bar, tmp_path) as proof:
        rest, number = scaled(STATES), 0
        while rest > 0:
            name = f"power-loss/{SEED}/{number}"
            draw = draw_for(name)
            trace = record(tmp_path / f"recorded-{number}", draw, sessions=draw.randint(2, 5), commits=12)
            done = _check(tmp_path / "left", trace, draw, min(rest, STATES_OF_A_TRACE), name)
            proof.n, rest, number = proof.n + done, rest - done, number + 1
        proof.result = f"{proof.n} states of {number} journals, each as promised"


def _never_syncs(patch: pytest.MonkeyPatch) -> None:
    _set_synchronous(patch, "off")


def _syncs_at_checkpoints_only(patch: pytest.MonkeyPatch) -> None:
    _set_synchronous(patch, "normal")


def _set_synchronous(patch: pytest.MonkeyPatch, value: str) -> None:
    connect = database.connect

    def changed(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        connection.pragma("synchronous", value)
        return connection

    patch.setattr(database, "connect", changed)


def _acknowledges_before_the_mark(patch: pytest.MonkeyPatch) -> None:
    write = HighWater.write
    late: list[Mark] = []

    def changed(self: HighWater, mark: Mark) -> None:
        late.append(mark)
        if len(late) > 1:
            write(self, late[-2])

    patch.setattr(HighWater, "write", changed)


def _marks_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    write = JournalStore._write

    def changed(self: JournalStore, rows: list[database.Row], mark: HighWater) -> None:
        mark.write(Mark(position=rows[-1][0], chain=rows[-1][4]))
        write(self, rows, mark)

    patch.setattr(JournalStore, "_write", changed)


def _marks_in_one_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(high_water, "_SLOTS", 1)


def _never_syncs_the_mark(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(high_water, "_sync", lambda _: None)


def _never_syncs_the_folder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "sync_folder", lambda _: None)


def _never_syncs_the_folders_own_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "_folders_of_names", lambda state_dir: (state_dir,))


def _checkpoints_without_syncing(patch: pytest.MonkeyPatch) -> None:
    tidy = JournalStore.tidy

    def changed(self: JournalStore, **options: Any) -> None:
        self._connection.pragma("synchronous", "off")
        tidy(self, **options)
        self._connection.pragma("synchronous", "full")

    patch.setattr(JournalStore, "tidy", changed)


@pytest.mark.parametrize(
    ("plant", "evidence"),
    [
        (_never_syncs, "cannot be opened"),
        (_syncs_at_checkpoints_only, "cannot be opened"),
        (_acknowledges_before_the_mark, "before the high-water mark said so"),
        (_marks_before_the_commit, "cannot be opened"),
        (_marks_in_one_slot, "cannot be opened|before the high-water mark said so"),
        (_never_syncs_the_mark, "before the high-water mark said so"),
        (_never_syncs_the_folder, "before the high-water mark said so"),
        (_never_syncs_the_folders_own_name, "before the high-water mark said so"),
        (_checkpoints_without_syncing, "cannot be opened"),
    ],
)
def test_a_planted_fault_is_caught(tmp_path: Path, plant: Plant, evidence: str) -> None:
    """A journal that forgets one of its syncs, or their order, fails the very check that the real one passes."""
    draw = random.Random(plant.__name__)
    trace = record(tmp_path / "recorded", draw, sessions=3, commits=8, plant=plant)

    assert any(re.search(evidence, problem) for problem in _problems(tmp_path / "left", trace, draw))


def _problems(folder: Path, trace: Trace, draw: random.Random) -> Iterator[str]:
    """Judge all moments in any order, a hundred at a time, and yield what is wrong."""
    moments = trace.moments()
    draw.shuffle(moments)
    for start in range(0, len(moments), 100):
        batch = sorted(moments[start : start + 100], key=lambda moment: moment[0])
        for _, files, acknowledged in trace.crashes(batch, "planted"):
            put(folder, files)
            problem, _ = judge(folder, trace.history, acknowledged)
            if problem:
                yield problem
