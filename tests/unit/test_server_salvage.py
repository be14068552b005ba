# SPDX-License-Identifier: Apache-2.0
"""nas-server doctor --salvage copies all that is good, says what it leaves out, and a server can go on with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doctor_run import examine, files_of, make_drivers, payloads_of, rewrite, run_doctor
from search_driver import Driver
from state_folder import Written, with_weights, write_state

from nas.search.digest import digest
from nas.search.evolve import replay
from nas.search.reasons import LostReason
from server.codec.envelope import decode
from server.files import StateFiles


@pytest.fixture(scope="module")
def drivers() -> dict[str, Driver]:
    """The searches."""
    return make_drivers()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, drivers: dict[str, Driver]) -> tuple[Path, Written]:
    """Their state folders after a server that ended well (``closed``) and after one that was killed (``killed``)."""
    folder = tmp_path_factory.mktemp("written")
    write_state(folder / "closed", drivers)
    return folder, write_state(folder / "killed", drivers, is_closed=False)


@pytest.fixture
def state(tmp_path: Path, written: tuple[Path, Written]) -> Path:
    """A state folder after a server that ended well."""
    return Path(shutil.copytree(written[0] / "closed", tmp_path / "state"))


@pytest.fixture
def killed(tmp_path: Path, written: tuple[Path, Written]) -> Path:
    """The same after a kill: most records are in the log."""
    return Path(shutil.copytree(written[0] / "killed", tmp_path / "killed"))


def _weights(state: Path) -> list[Path]:
    return sorted(state.glob("searches/*/weights/*"))


def _alter(search_id: str, sequence: int, column: str = "payload") -> str:
    return f"UPDATE event SET {column} = x'01' WHERE search_id = '{search_id}' AND sequence = {sequence}"  # noqa: S608


def _cut(state: Path, sql: str, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """Change records, salvage the rest and return what was said with the new folder."""
    rewrite(state, sql)
    before = files_of(state)
    document = examine(state, "--salvage", str(tmp_path / "new"))
    assert before == files_of(state)
    return document["salvage"], tmp_path / "new"


@pytest.mark.parametrize("search_id", ["ended", "running"])
@pytest.mark.parametrize("column", ["payload", "chain"])
def test_one_altered_event_costs_its_search_only(
    state: Path, tmp_path: Path, written: tuple[Path, Written], search_id: str, column: str
) -> None:
    """The other search is whole; of this one all whole commands before it are kept, and the rest is named."""
    (other,) = {"ended", "running"} - {search_id}
    events = written[1].payloads(search_id)
    kept = max(count for count in written[1].whole_commands(search_id) if count < 30 - 1)

    salvage, new = _cut(state, _alter(search_id, 30, column), tmp_path)

    assert [{"search_id": search_id, "first_sequence": kept + 1, "last_sequence": len(events)}] == salvage["left_out"]
    assert 0 == salvage["unattributed_records"]
    assert {search_id: events[:kept], other: written[1].payloads(other)} == payloads_of(new)


@pytest.mark.parametrize("sequence", range(2, 38, 5))
def test_a_salvaged_search_ends_as_it_would_have(
    state: Path, tmp_path: Path, drivers: dict[str, Driver], sequence: int
) -> None:
    """Cut anywhere, a server can go on with it, and it finds what the undisturbed search finds."""
    _, new = _cut(state, _alter("running", sequence), tmp_path)
    whole = Driver(config=drivers["running"].config)
    whole.run()
    payloads = payloads_of(new).get("running", ())
    facts = [decode(payload).fact for payload in payloads]
    search = replay(facts)
    again = Driver(config=drivers["running"].config)
    if search is not None:
        again.search = search
        again.lose(LostReason.SERVER_RESTARTED)

    again.run()

    assert (search is None) == (sequence < 9)
    rest = again.facts if search is None else [*facts, *again.facts[len(Driver().facts) :]]
    assert _digest(whole, whole.facts) == _digest(again, rest)


def _digest(driver: Driver, facts: list[Any]) -> str:
    search = replay(with_weights(driver, fact) for fact in facts)
    assert search is not None
    return digest(search)


@pytest.mark.parametrize("sql", ["DELETE FROM event WHERE position > 60", _alter("ended", 12), _alter("running", 33)])
def test_the_new_folder_is_healthy(state: Path, tmp_path: Path, sql: str) -> None:
    """Whatever was cut: the journal, the weights and what the salvage says of itself agree."""
    salvage, new = _cut(state, sql, tmp_path)

    document = examine(new)

    assert document["is_healthy"], document["findings"]
    assert 40 < document["total_records"] == salvage["records"] < 120
    assert salvage == json.loads((new / "salvaged.json").read_text())
    assert 0o700 == new.stat().st_mode & 0o777


def test_weights_that_a_lost_event_dropped_are_not_missed(state: Path, tmp_path: Path) -> None:
    """They are named once; a salvage of the salvage knows of them, and weights that vanish later are a finding."""
    salvage, new = _cut(state, "DELETE FROM event WHERE position > 36", tmp_path)
    assert salvage["absent_weights"]

    again = examine(new, "--salvage", str(tmp_path / "newer"))["salvage"]
    (new / "searches/running/weights/1-1.safetensors").unlink()

    assert salvage["absent_weights"] == again["absent_weights"]
    assert examine(tmp_path / "newer")["is_healthy"]
    assert 1 == len(examine(new)["findings"])


def test_files_are_copied_and_the_cache_is_not(state: Path, tmp_path: Path) -> None:
    """Weights, checkpoints and logs of the searches that are kept; of damaged weights only the name is told."""
    files = StateFiles(state)
    (files.cache / "digits").mkdir(parents=True)
    for path in (state / "searches/ended/logs/1-1.1.log", state / "searches/running/checkpoints/2-1/epoch-0001.jsonl"):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    bad = _weights(state)[0]
    bad.write_bytes(b"other")
    expected = {name: content for name, (content, _) in files_of(state).items() if name.startswith("searches/")}
    del expected[str(bad.relative_to(state))]

    document = examine(state, "--salvage", str(tmp_path / "deep/new"))

    found = {name: content for name, (content, _) in files_of(tmp_path / "deep/new").items() if "/" in name}
    assert expected == found
    assert [str(bad)] == document["salvage"]["left_files"]
    assert len(expected) == document["salvage"]["files"]


def test_a_missing_mark_costs_nothing(state: Path, tmp_path: Path, written: tuple[Path, Written]) -> None:
    """Without the high-water file the chain still proves every record."""
    (state / "journal.head").unlink()

    salvage = examine(state, "--salvage", str(tmp_path / "new"))["salvage"]

    assert [] == salvage["left_out"]
    assert {name: written[1].payloads(name) for name in ("ended", "running")} == payloads_of(tmp_path / "new")


FRAME = 24 + 4096


@pytest.mark.parametrize("place", [0, 20, 24 + 32, 24 + 2_000, 24 + 4_095])
def test_a_bad_frame_of_the_log_costs_what_lies_behind_it(
    killed: Path, tmp_path: Path, written: tuple[Path, Written], place: int
) -> None:
    """SQLite drops it and all behind it; the rest is saved in whole commands, and what is lost is counted."""
    log = (killed / "journal.db-wal").read_bytes()
    frames = range(32 + place, len(log), 17 * FRAME)
    assert len(frames) >= 2
    totals = []
    for frame in frames:
        spoilt = bytearray(log)
        spoilt[frame] ^= 2
        (killed / "journal.db-wal").write_bytes(spoilt)
        target = tmp_path / str(frame)

        document = examine(killed, "--salvage", str(target))

        assert not document["is_healthy"]
        assert {finding["check"] for finding in document["findings"]} & {"chain", "high-water mark"}
        assert all(finding["problem"] and "--salvage" in finding["remedy"] for finding in document["findings"])
        saved = payloads_of(target)
        assert {name: written[1].payloads(name)[: len(events)] for name, events in saved.items()} == saved
        counts = {name: len(events) for name, events in saved.items()}
        assert all(count in written[1].whole_commands(name) for name, count in counts.items())
        left_out = sum(part["last_sequence"] - part["first_sequence"] + 1 for part in document["salvage"]["left_out"])
        assert 120 == sum(counts.values()) + left_out + document["salvage"]["unattributed_records"]
        totals.append(sum(counts.values()))

    in_the_database = sum(len(group) for groups in written[1].groups.values() for group in groups[:6])
    assert in_the_database <= totals[0]
    assert sorted(totals) == totals
    assert totals[-1] >= 110


def test_what_was_left_out_is_said_in_words(state: Path, tmp_path: Path, written: tuple[Path, Written]) -> None:
    """Which events of which searches, where it goes on, and how to start a server on the result."""
    kept = max(count for count in written[1].whole_commands("running") if count < 29)
    rewrite(state, _alter("running", 30))

    lines = run_doctor(state, "--salvage", str(tmp_path / "new")).stdout.splitlines()

    assert "search ended: SUCCEEDED, 83 events" in lines
    assert "search running: RUNNING, events 1 to 29 of 37 are good" in lines
    assert f"  left out: events {kept + 1} to 37 of search running; it goes on from event {kept}" in lines
    assert f"go on with: nas-server serve --state-dir {tmp_path / 'new'}" == lines[-1]


def _command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_target_that_exists_or_lies_inside_is_a_usage_error(state: Path, tmp_path: Path) -> None:
    """Nothing is examined or written; the sentence says which folder to name instead."""
    before = files_of(state)
    (tmp_path / "taken").mkdir()

    taken = _command_line("--state-dir", str(state), "--salvage", str(tmp_path / "taken"))
    inside = _command_line("--state-dir", str(state), "--salvage", str(state / "new"))

    assert (64, 64) == (taken.returncode, inside.returncode)
    assert "exists already; name a folder that does not" in taken.stderr
    assert "lies in the folder that is examined; name one outside" in inside.stderr
    assert before == files_of(state)


def test_a_salvage_that_fails_leaves_nothing_behind(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full in the middle is one sentence, and no half folder stays."""

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "rename", fail)

    result = run_doctor(state, "--salvage", str(tmp_path / "out/new"))

    assert 78 == result.exit_code
    assert "No space left on device" in result.stderr
    assert [] == list((tmp_path / "out").iterdir())
