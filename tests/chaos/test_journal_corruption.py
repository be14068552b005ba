# SPDX-License-Identifier: Apache-2.0
"""A disk that alters what it was given: each damage is noticed or harmless, is explained, and what is good is saved."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
import torch
from chaos_proof import IS_ALONE, draw_for, proving, scaled
from damage import spoil
from doctor_run import examine, files_of, make_drivers, payloads_of
from state_folder import Written, write_state

from nas.child import EpochResult, Evaluation
from nas.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from server.journal import database, recovery
from server.journal.base import JournalDamagedError, JournalError
from server.journal.high_water import Mark

NAMES = ("journal.db", "journal.db-wal", "journal.head")
SLOT_BYTES = 80
"""Of the high-water file, at the start of each of its two blocks."""
SECONDS_TO_REFUSE = 2.0


class UnnoticedError(Exception):
    """A damaged journal was opened as if nothing had happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A state folder to be damaged, once after an orderly end and once after a kill.

    Attributes:
        folder: holds the two.
        written: what is in both.
    """

    folder: Path
    written: Written

    @property
    def payloads(self) -> dict[str, tuple[bytes, ...]]:
        """All events of each search."""
        return {search_id: self.written.payloads(search_id) for search_id in self.written.groups}

    def damage(self, state: Path, draw: random.Random) -> str:
        """Put one of the two in a folder, with one of its files damaged, and say what was done."""
        which = draw.choice(("closed", "killed"))
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(self.folder / which, state)
        path = state / draw.choice([name for name in NAMES if (state / name).stat().st_size])
        content = path.read_bytes()
        if path.name == "journal.head" and draw.random() < 0.5:
            start = draw.choice((0, 4096))  # most of the file is padding
            how, slot = spoil(content[start : start + SLOT_BYTES], draw)
            path.write_bytes(content[:start] + slot + content[start + SLOT_BYTES :])
        else:
            how, content = spoil(content, draw)
            path.write_bytes(content)
        return f"{how} of {path.name}, {which}"


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """Two searches, one that has ended and one that has not."""
    folder, drivers = tmp_path_factory.mktemp("victim"), make_drivers()
    write_state(folder / "closed", drivers)
    return Victim(folder=folder, written=write_state(folder / "killed", drivers, is_closed=False))


def _open(state: Path, victim: Victim) -> JournalError | None:
    """Open a copy as a server does and return how it is refused, ``None`` if all is there as it was.

    Raises:
        UnnoticedError: something else is there.
    """
    copy = state.with_name("opened")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy)
    try:
        found = payloads_of(copy)
    except JournalError as error:
        return error
    if found != victim.payloads:
        raise UnnoticedError
    return None


def _names_the_last_good_record(error: JournalError, victim: Victim) -> bool:
    if not isinstance(error, JournalDamagedError) or not error.position:
        return True
    good = victim.written.order[: error.position]
    return (error.search_id, error.sequence) == (good[-1], good.count(good[-1]))


def _salvage(state: Path, victim: Victim) -> int:
    """Salvage, hold the result against the truth, and return how many events were saved."""
    target = state.with_name("salvaged")
    shutil.rmtree(target, ignore_errors=True)
    before = files_of(state)
    salvage: dict[str, Any] = examine(state, "--salvage", str(target))["salvage"]
    assert before == files_of(state)
    saved = payloads_of(target) if target.exists() else {}
    assert {name: victim.payloads[name][: len(events)] for name, events in saved.items()} == saved
    assert salvage["records"] == sum(len(events) for events in saved.values())
    assert all(len(events) in victim.written.whole_commands(name) for name, events in saved.items())
    for part in salvage["left_out"]:
        assert part["first_sequence"] == len(saved.get(part["search_id"], ())) + 1
    assert not target.exists() or examine(target)["is_healthy"]
    return int(salvage["records"])


@pytest.mark.timeout(1200)
def test_no_damage_goes_unnoticed(tmp_path: Path, victim: Victim) -> None:
    """Flips, truncations and worse: refused or identical, the doctor agrees with the server, the good part is saved."""
    bar = "0 undetected, 0 silent shortening, the doctor agrees and changes nothing"
    with proving("journal altered or truncated", bar, tmp_path) as proof:
        draw = draw_for("journal-corruption")
        refused, saved = 0, []
        for _ in range(scaled(1_000)):
            what = victim.damage(tmp_path / "state", draw)
            try:
                error = _open(tmp_path / "state", victim)
                assert examine(tmp_path / "state")["is_healthy"] == (error is None)
                if error is not None:
                    refused += 1
                    assert _names_the_last_good_record(error, victim)
                    if refused % 4 == 1:
                        saved.append(_salvage(tmp_path / "state", victim))
            except (AssertionError, UnnoticedError) as failure:
                failure.add_note(f"damage {proof.n}: {what}")
                raise
            proof.n += 1
        assert 0 < refused < proof.n
        share = sum(saved) / len(saved) / len(victim.written.order)
        proof.result = (
            f"{refused} refused, {proof.n - refused} harmless; of {len(saved)} salvaged, {share:.0%} of events"
        )


def _ignore_the_mark(
    connection: apsw.Connection, path: Path, version: int, acknowledged: Mark | None
) -> database.Contents:
    return database.walk(connection, path) if version else database.Contents()


def _ignore_the_chain(
    connection: apsw.Connection, path: Path, version: int, acknowledged: Mark | None
) -> database.Contents:
    contents = database.Contents()
    with contextlib.suppress(apsw.Error):
        for position, search_id, sequence, _, chain in connection.execute("SELECT * FROM event ORDER BY position"):
            contents.mark, contents.heads[search_id] = Mark(position=position, chain=chain), sequence
    return contents


@pytest.mark.parametrize("plant", [_ignore_the_mark, _ignore_the_chain])
def test_a_planted_fault_is_caught(
    tmp_path: Path, victim: Victim, monkeypatch: pytest.MonkeyPatch, plant: object
) -> None:
    """A journal that forgets one of its two checks lets a damage pass, and the same test says so."""
    monkeypatch.setattr(recovery, "prove", plant)
    draw = random.Random(3)

    def damage_and_open() -> None:
        for _ in range(200):
            victim.damage(tmp_path / "state", draw)
            _open(tmp_path / "state", victim)

    with pytest.raises(UnnoticedError):
        damage_and_open()


def _refusals(victim: Victim, state: Path, draw: random.Random, count: int) -> Iterator[JournalDamagedError]:
    """Damage the folder until that many damages are refused; yield each refusal."""
    while count:
        victim.damage(state, draw)
        error = _open(state, victim)
        if isinstance(error, JournalDamagedError):
            count -= 1
            yield error


def test_a_server_refuses_a_damaged_folder_at_once(tmp_path: Path, victim: Victim) -> None:
    """Exit status 74, one sentence that names the last good record and what to do, in less than two seconds."""
    bar = f"exit 74 in < {SECONDS_TO_REFUSE:g} s, naming the last good sequence"
    with proving("server started on a damaged journal", bar, tmp_path) as proof:
        slowest = 0.0
        for error in _refusals(victim, tmp_path / "state", draw_for("refusal"), scaled(20, least=2)):
            good = f"position {error.position}, sequence {error.sequence} of search {error.search_id}"
            command = [sys.executable, "-m", "server", "serve", "--state-dir", str(tmp_path / "state")]
            begin = time.monotonic()
            process = subprocess.run(
                [*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60, check=False
            )
            slowest = max(slowest, time.monotonic() - begin)

            assert 74 == process.returncode, process.stderr
            (sentence,) = [line for line in process.stderr.splitlines() if line.startswith("Error: ")]
            assert (good if error.position else "no record is known to be good") in sentence
            assert re.search(r"nas-server doctor", sentence)
            proof.n += 1
        assert slowest < SECONDS_TO_REFUSE or not IS_ALONE
        proof.result = f"all refused, the slowest in {slowest:.2f} s"


def test_no_damaged_checkpoint_is_used(tmp_path: Path) -> None:
    """Whatever happens to either file of the newest checkpoint, the one before it serves, as it was written."""
    with proving("checkpoint altered or truncated", "0 used silently", tmp_path) as proof:
        draw = draw_for("checkpoint-corruption")
        tensors = {"weights": {"a": torch.arange(600.0)}}
        evaluation = Evaluation(loss=1 / 3, correct=(1, 0), total=(2, 3))
        history = tuple(
            EpochResult(epoch=e, training_loss=0.5, validation=evaluation, seconds=1.0, images_per_second=2.0)
            for e in (1, 2)
        )
        for length in (1, 2):
            save_checkpoint(_made(tmp_path / "good"), "f", Checkpoint(history=history[:length], groups=tensors))
        for number in range(scaled(400)):
            folder = tmp_path / str(number)
            shutil.copytree(tmp_path / "good", folder)
            path = folder / draw.choice(("epoch-0002.jsonl", "epoch-0002.safetensors"))
            what, content = spoil(path.read_bytes(), draw)
            path.write_bytes(content)

            loaded = load_checkpoint(folder, "f")

            assert loaded is not None, what
            assert history[:1] == loaded.history, what
            assert torch.equal(tensors["weights"]["a"], loaded.groups["weights"]["a"])
            proof.n += 1
        proof.result = "the older checkpoint served each time"


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
