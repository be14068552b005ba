# SPDX-License-Identifier: Apache-2.0
"""Journals that released versions wrote: this version reads all of them, finds the same and goes on from there.

``NAS_REWRITE_GOLDEN=1 make test PYTEST_ARGS='-k journals'`` writes the folder of the present version anew, which
is right only as long as that version is not released: a released folder is never written again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import pytest
from control_plane import ControlPlane, running
from golden_searches import write_journal

from nas.search import events
from nas.search.digest import digest
from nas.search.evolve import replay
from nas.search.state import SearchState
from server.codec.envelope import decode
from server.journal.sqlite import SqliteJournal

FOLDER = Path(__file__).parent / "journals"
CURRENT = f"v{version('seib-nas')}"
VERSIONS = sorted({path.name for path in FOLDER.iterdir() if path.is_dir()} | {CURRENT})
FILES = ("journal.db", "journal.head")
MANIFEST = "expected.json"


async def _describe(journal: SqliteJournal) -> dict[str, Any]:
    """Everything about the searches of a journal that must never come out differently."""
    found = {}
    for head in await journal.heads():
        records = await journal.read(head.search_id, 0, head.sequence)
        facts = [decode(record.payload).fact for record in records]
        search = replay(facts)
        assert search is not None
        found[head.search_id] = {
            "state": search.state.value,
            "digest": digest(search),
            "sequence": head.sequence,
            "chain": records[-1].chain.hex(),
            "facts": dict(sorted(Counter(type(fact).__name__ for fact in facts).items())),
        }
    return found


async def _rewrite(tmp_path: Path) -> None:
    """Write the folder of this version."""
    await write_journal(tmp_path)
    folder = FOLDER / CURRENT
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(tmp_path / name, folder / name)
    journal = await SqliteJournal.inspect(tmp_path)
    (folder / MANIFEST).write_text(json.dumps(await _describe(journal), indent=2) + "\n")
    await journal.close()


@pytest.fixture
async def golden(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of one version's journal, for opening one leaves a lock behind."""
    if os.environ.get("NAS_REWRITE_GOLDEN") and request.param == CURRENT:
        await _rewrite(tmp_path / "new")
    folder = tmp_path / "state"
    shutil.copytree(FOLDER / request.param, folder)
    return folder


each_version = pytest.mark.parametrize("golden", VERSIONS, indirect=True)


@each_version
async def test_a_golden_journal_is_read_as_ever(golden: Path) -> None:
    """Every event, every state, every digest and the chain are what they were when the version was released."""
    journal = await SqliteJournal.inspect(golden)

    found = await _describe(journal)
    await journal.close()

    assert json.loads((golden / MANIFEST).read_text()) == found


@pytest.mark.parametrize(("version", "expected"), [("v0.1.0", {False}), (CURRENT, {True})])
async def test_a_journal_tells_of_patients_since_they_are_counted(
    tmp_path: Path, version: str, expected: set[bool]
) -> None:
    """What a version before the leak check wrote says nothing of it, which is no claim that nothing leaked."""
    shutil.copytree(FOLDER / version, tmp_path / "state")
    journal = await SqliteJournal.inspect(tmp_path / "state")

    facts = [
        decode(record.payload).fact
        for head in await journal.heads()
        for record in await journal.read(head.search_id, 0, head.sequence)
    ]
    await journal.close()

    assert expected == {fact.dataset.patients is not None for fact in facts if isinstance(fact, events.SearchStarted)}


@each_version
async def test_a_golden_journal_is_gone_on_with(golden: Path) -> None:
    """A server of this version opens it, brings its running search to an end and leaves the ended ones as they are."""
    expected = json.loads((golden / MANIFEST).read_text())
    journal = await SqliteJournal.open(golden)
    async with running(ControlPlane(folder=golden, journal=journal)) as plane:
        unfinished = [key for key, value in expected.items() if value["state"] == SearchState.RUNNING.value]
        ended = [await plane.end(search_id) for search_id in unfinished]
        shown = {view.search_id: view.search for view in plane.registry.views()}
    await journal.close()

    assert unfinished
    assert {SearchState.SUCCEEDED} == {view.search.state for view in ended}
    assert {
        key: value["digest"]
        for key, value in expected.items()
        if value["state"] != SearchState.DELETED.value and key not in unfinished
    } == {key: digest(search) for key, search in shown.items() if key not in unfinished}


async def test_the_journal_of_this_version_is_written_as_it_was(tmp_path: Path) -> None:
    """Byte for byte the same events: what this version writes today, it wrote when its golden journal was made."""
    await write_journal(tmp_path)
    journal = await SqliteJournal.inspect(tmp_path)

    found = await _describe(journal)
    await journal.close()

    assert json.loads((FOLDER / CURRENT / MANIFEST).read_text()) == found


def test_the_golden_journal_of_this_version_holds_every_fact() -> None:
    """An event that is added has to be put into a golden search."""
    expected = json.loads((FOLDER / CURRENT / MANIFEST).read_text())

    found = {name for search in expected.values() for name in search["facts"]}

    assert {fact.__name__ for fact in get_args(events.Event)} == found


def test_golden_journals_are_small() -> None:
    """They stay in the repository for ever."""
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]

    assert max(sizes) < 150_000
