# SPDX-License-Identifier: Apache-2.0
"""Runs nas-server doctor on the folder of two searches, one that has ended and one in its second iteration."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import apsw
from click.testing import CliRunner, Result
from search_driver import Driver, make_config

from server.commands.doctor import doctor
from server.journal.recovery import open_store
from server.journal.store import JournalStore

ENDED, RUNNING = "ended", "running"


def make_drivers() -> dict[str, Driver]:
    """The two searches, by id."""
    ended, running = Driver(), Driver(config=make_config(seed=8, max_iterations=3))
    ended.run()
    running.run(until_iteration=2)
    return {ENDED: ended, RUNNING: running}


def run_doctor(state: Path, *options: str) -> Result:
    """Run it and print as text."""
    return CliRunner().invoke(doctor, ["--state-dir", str(state), *options])


def examine(state: Path, *options: str) -> dict[str, Any]:
    """Return the JSON of a run; its exit status must be 0 if the document says healthy, else 74."""
    result = run_doctor(state, *options, "--output", "json")
    assert result.exit_code in (0, 74), result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["is_healthy"] == (result.exit_code == 0)
    return document


def rewrite(state: Path, sql: str) -> None:
    """Change the database behind the journal's back."""
    with contextlib.closing(apsw.Connection(str(state / "journal.db"))) as connection:
        connection.execute(sql)


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of the last change of every file, by its path in the folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def payloads_of(state: Path) -> dict[str, tuple[bytes, ...]]:
    """All events of each search, opened as a server does."""
    with contextlib.closing(open_store(state)) as store:
        return {head.search_id: _read(store, head.search_id) for head in store.heads()}


def _read(store: JournalStore, search_id: str) -> tuple[bytes, ...]:
    return tuple(record.payload for record in store.read(search_id, 0, 10_000))
