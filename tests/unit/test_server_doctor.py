# SPDX-License-Identifier: Apache-2.0
"""nas-server doctor finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doctor_run import examine, files_of, make_drivers, rewrite, run_doctor
from search_driver import Driver
from state_folder import Written, write_state

from server.codec.envelope import decode, encode
from server.journal.recovery import open_store
from server.journal.store import Append

CHECKS = ["lock", "schema", "database", "chain", "sequences", "high-water mark", "events", "weights"]


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


def _damaged(document: dict[str, Any]) -> set[str]:
    found = {check["check"] for check in document["checks"] if check["result"] == "damaged"}
    assert found == {finding["check"] for finding in document["findings"]}
    return found


def test_a_healthy_folder_is_called_healthy(state: Path, drivers: dict[str, Driver]) -> None:
    """Every check passes, every search is shown with its state and its events, and the exit status is 0."""
    before = files_of(state)

    document = examine(state)

    assert [{"check": check, "result": "ok"} for check in CHECKS] == document["checks"]
    assert [
        ("ended", "SUCCEEDED", len(drivers["ended"].facts)),
        ("running", "RUNNING", len(drivers["running"].facts)),
    ] == [(search["search_id"], search["state"], search["good_events"]) for search in document["searches"]]
    assert before == files_of(state)


def test_after_a_kill_nothing_is_wrong(killed: Path) -> None:
    """Records that are only in the write-ahead log are found, and the log stays as it is."""
    before = files_of(killed)
    assert len(before["journal.db-wal"][0]) > 100_000

    document = examine(killed)

    assert document["is_healthy"]
    assert 120 == document["total_records"] == sum(search["good_events"] for search in document["searches"])
    assert before == files_of(killed)


def test_text_is_for_people(state: Path) -> None:
    """One line a check and one a search; a finding says what is wrong and what to do."""
    healthy = run_doctor(state).stdout.splitlines()
    (state / "journal.head").unlink()
    damaged = run_doctor(state)

    assert f"{state} is healthy" == healthy[0]
    assert CHECKS == [line[11:27].strip() for line in healthy[1:9]]
    assert 74 == damaged.exit_code
    (line,) = [line for line in damaged.stdout.splitlines() if line.startswith("  damaged")]
    assert "journal.head is missing or unreadable: restore" in line
    assert "--salvage TARGET_DIR" in line


@pytest.mark.parametrize(
    ("sql", "checks", "problem"),
    [
        ("UPDATE event SET payload = x'00' WHERE position = 9", {"chain", "sequences"}, "position 9 was altered"),
        ("UPDATE event SET chain = zeroblob(32) WHERE position = 9", {"chain", "sequences"}, "position 9 was altered"),
        ("UPDATE event SET search_id = 'x' WHERE position = 9", {"chain", "sequences"}, "position 9 is missing or out"),
        (
            "DELETE FROM event WHERE position IN (9, 12)",
            {"chain", "sequences"},
            "position 9 is missing or out of place",
        ),
        (
            "DELETE FROM event WHERE position > 100",
            {"sequences", "high-water mark"},
            "the records end at position 100,",
        ),
        ("DELETE FROM event", {"sequences", "high-water mark"}, "the records end at position 0,"),
        (
            "DROP TABLE event",
            {"schema", "sequences", "high-water mark"},
            "schema version 1 does not go with its tables",
        ),
        ("PRAGMA user_version = 0", {"schema"}, "schema version 0 does not go with its tables"),
        ("PRAGMA user_version = -7", {"schema"}, "schema version -7 does not go with its tables"),
        ("PRAGMA user_version = 2", {"schema"}, "it has version 2 and this server knows versions up to 1"),
        ("PRAGMA application_id = 1", {"schema"}, "it is not a journal of this software"),
    ],
)
def test_a_forged_database_is_seen_through(state: Path, sql: str, checks: set[str], problem: str) -> None:
    """The checks that fail are those that it is about, the others are not disturbed, and no file is changed."""
    rewrite(state, sql)
    before = files_of(state)

    document = examine(state)

    assert checks == _damaged(document)
    assert any(problem in finding["problem"] for finding in document["findings"])
    assert all(finding["remedy"] for finding in document["findings"])
    assert before == files_of(state)


def test_another_folders_database_is_seen_through(state: Path, tmp_path: Path, drivers: dict[str, Driver]) -> None:
    """A sound database and a sound mark that do not belong together; nothing of it counts as good."""
    write_state(tmp_path / "other", {name: drivers[name] for name in ("running", "ended")})
    (tmp_path / "other/journal.db").replace(state / "journal.db")

    document = examine(state, "--salvage", str(tmp_path / "new"))

    assert "high-water mark" in _damaged(document)
    assert [0, 0] == [search["good_events"] for search in document["searches"]]
    assert document["salvage"]["target"] is None
    assert not (tmp_path / "new").exists()


def _no_folder(folder: Path) -> None:
    pass


def _empty_folder(folder: Path) -> None:
    folder.mkdir()


def _empty_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "journal.db").touch()
    (folder / "journal.head").touch()


@pytest.mark.parametrize("prepare", [_no_folder, _empty_folder, _empty_files])
def test_without_a_journal_there_is_nothing_to_examine(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    """A folder where no server has written is exit status 65 and stays as it is."""
    prepare(tmp_path / "state")

    result = run_doctor(tmp_path / "state")

    assert 65 == result.exit_code
    assert "there is no journal in" in result.stderr
    assert not (tmp_path / "state/journal.lock").exists()


def test_a_running_servers_folder_is_left_alone(state: Path) -> None:
    """Exit status 73, and the sentence says that a server has it open."""
    with contextlib.closing(open_store(state)):
        result = run_doctor(state)

    assert 73 == result.exit_code
    assert "in use by another server" in result.stderr


UNUSABLE = (
    "database",
    "journal.db is empty, and 120 records were acknowledged",
)
ALL_GONE = (
    ("sequences", "120 records are gone, and of which search they were is not known"),
    ("high-water mark", "the records end at position 0, and 120 were acknowledged"),
)
CUT = ("high-water mark", "the records end at position 24, and 120 were acknowledged")
GONE = ("sequences", "96 records are gone, and of which search they were is not known")
UNMARKED = ("high-water mark", "journal.head is missing or unreadable")


def _explained(document: dict[str, Any], problems: list[tuple[str, str]]) -> bool:
    """Whether these are the findings, in this order, each with what to do about it."""
    findings = document["findings"]
    return len(problems) == len(findings) and all(
        check == finding["check"] and finding["problem"].startswith(problem) and "--salvage" in finding["remedy"]
        for (check, problem), finding in zip(problems, findings, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "problems"),
    [("journal.db", [UNUSABLE, *ALL_GONE]), ("journal.db-wal", [GONE, CUT]), ("journal.head", [UNMARKED])],
    ids=["journal.db", "journal.db-wal", "journal.head"],
)
@pytest.mark.parametrize("content", [b"", b"\0" * 5_000, b"garbage" * 2_000], ids=["empty", "zeros", "garbage"])
def test_whatever_lies_there_is_explained(
    killed: Path, tmp_path: Path, name: str, problems: list[tuple[str, str]], content: bytes
) -> None:
    """A file replaced by nonsense is named and explained, unless SQLite finds all of it in the log; none is changed."""
    is_all_in_the_log = name == "journal.db" and content != b""
    (killed / name).write_bytes(content)
    before = files_of(killed)

    document = examine(killed, "--salvage", str(tmp_path / "new"))

    assert document["is_healthy"] == is_all_in_the_log
    assert _explained(document, [] if is_all_in_the_log else problems), document["findings"]
    assert (120 == document["salvage"]["records"]) == (is_all_in_the_log or name == "journal.head")
    assert before == files_of(killed)


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        (
            "journal.db",
            [("database", "SQLite cannot read journal.db: "), *ALL_GONE],
        ),
        ("journal.head", [("high-water mark", "journal.head cannot be read: Is a directory"), UNMARKED]),
    ],
    ids=["journal.db", "journal.head"],
)
def test_a_folder_in_place_of_a_file_is_explained(state: Path, name: str, problems: list[tuple[str, str]]) -> None:
    """A folder that has the name of one of the journal's files is named, with what it costs."""
    (state / name).rename(state / "elsewhere")
    (state / name).mkdir()

    document = examine(state)

    assert not document["is_healthy"]
    assert _explained(document, problems), document["findings"]


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"\xff", "event 1 of search odd does not follow"),
        (b"", "event 1 of search odd does not follow"),
        ("ended", "it says that it is event 1 of search ended"),
    ],
)
def test_an_event_that_makes_no_sense_is_named(
    state: Path, drivers: dict[str, Driver], payload: bytes | str, problem: str
) -> None:
    """The journal is sound and yet a server could not start: the event is named by search and sequence."""
    with contextlib.closing(open_store(state)) as store:
        if isinstance(payload, str):
            payload = store.read(payload, 0, 1)[0].payload
        store.commit([Append(search_id="odd", expected_sequence=0, payloads=(payload,))])

    document = examine(state)

    assert {"events"} == _damaged(document)
    (finding,) = document["findings"]
    assert ("odd", 1) == (finding["search_id"], finding["sequence"])
    assert problem in finding["problem"]


def test_an_event_after_the_end_is_named(state: Path, drivers: dict[str, Driver]) -> None:
    """What cannot follow is found by folding, as a server would."""
    count = len(drivers["ended"].facts)
    with contextlib.closing(open_store(state)) as store:
        last = store.read("ended", count - 1, 1)[0].payload
        store.commit([Append(search_id="ended", expected_sequence=count, payloads=(_renumber(last, count + 1),))])

    (finding,) = examine(state)["findings"]

    assert ("events", count + 1) == (finding["check"], finding["sequence"])


def _renumber(payload: bytes, sequence: int) -> bytes:
    return encode(replace(decode(payload), sequence=sequence))


def _weights(state: Path) -> list[Path]:
    return sorted(state.glob("searches/*/weights/*"))


def test_missing_and_altered_weights_are_named(state: Path) -> None:
    """Each file that the journal still needs and that is not what was written is one finding."""
    first, second, *others = _weights(state)
    first.unlink()
    second.write_bytes(b"other")

    document = examine(state)

    assert len(others) >= 2
    assert {"weights"} == _damaged(document)
    problems = [finding["problem"] for finding in document["findings"]]
    assert [True, True] == [problems[0].endswith("is missing"), "SHA-256" in problems[1]]
    assert [True, True] == [str(path) in problem for path, problem in zip((first, second), problems, strict=True)]


def test_weights_that_were_never_made_are_not_missed(tmp_path: Path, drivers: dict[str, Driver]) -> None:
    """The executor ``fake`` names weights without writing any."""
    write_state(tmp_path / "state", drivers, is_simulated=True)

    assert [] == _weights(tmp_path / "state")
    assert examine(tmp_path / "state")["is_healthy"]


def test_control_characters_do_not_reach_the_terminal(state: Path) -> None:
    """The name of a search is printed as text, whatever the journal has for it."""
    with contextlib.closing(open_store(state)) as store:
        store.commit([Append(search_id="\x1b[31m", expected_sequence=0, payloads=(b"",))])

    output = run_doctor(state).stdout

    assert "\x1b" not in output
    assert "[31m" in output
