# SPDX-License-Identifier: Apache-2.0
"""Makes a new state folder of what is good in a damaged one, which stays as it is."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from nas.durable import sync_file, sync_folder
from server.commands.diagnosis import SALVAGED, Diagnosis, SearchRecord
from server.journal.base import Record, SequenceConflictError
from server.journal.recovery import open_store
from server.journal.store import Append
from server.journal.survey import Survey

_GROUP: Final = 1000
"""Records of the new journal that share a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was copied and what was not.

    Attributes:
        target: the new folder, ``None`` if nothing is good, so that there is none.
        records: number of events copied, of all searches.
        files: number of files below ``searches/`` copied.
        left_out: searches of which events were not copied: those behind ``kept``, up to at least ``known``.
        left_files: files not copied: damaged weights, and what cannot be read.
        absent_weights: files that the copied events name and that are missing; an event that is lost may have had them
            deleted.
        unattributed: number of records that are gone without a trace of the search that they belonged to.
    """

    target: Path | None
    records: int
    files: int
    left_out: tuple[SearchRecord, ...]
    left_files: tuple[Path, ...]
    absent_weights: tuple[Path, ...]
    unattributed: int

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "target": self.target and str(self.target),
            "records": self.records,
            "files": self.files,
            "left_out": [
                {"search_id": search.search_id, "first_sequence": search.kept + 1, "last_sequence": search.known}
                for search in self.left_out
            ],
            "left_files": [str(path) for path in self.left_files],
            "absent_weights": [str(path) for path in self.absent_weights],
            "unattributed_records": self.unattributed,
        }


def salvage(survey: Survey, diagnosis: Diagnosis, state_dir: Path, target: Path) -> Salvage:
    """Copy what is good into ``target``, which appears only once it is complete and durable.

    Raises:
        JournalFullError, JournalFailedError: the new journal cannot be written.
        OSError: the new folder cannot be.
    """
    kept = {search.search_id: search.kept for search in diagnosis.searches}
    absent = (path for search in diagnosis.searches for path in sorted(search.absent_weights))
    done = Salvage(
        target=None,
        records=sum(kept.values()),
        files=0,
        left_out=tuple(search for search in diagnosis.searches if search.kept < search.known),
        left_files=(),
        absent_weights=tuple(path.relative_to(state_dir) for path in absent),
        unattributed=survey.unattributed,
    )
    if not done.records:
        return done
    with _appearing(target) as folder:
        _write_journal(folder, (record for record in survey.records() if record.sequence <= kept[record.search_id]))
        files, left_files = _copy_files(diagnosis, state_dir, folder)
        done = replace(done, target=target, files=files, left_files=left_files)
        (folder / SALVAGED).write_text(json.dumps(done.document(), indent=2) + "\n")
    return done


def _write_journal(folder: Path, records: Iterable[Record]) -> None:
    """Make a journal of records: new positions, a new chain, a new high-water mark."""
    source = iter(records)
    with contextlib.closing(open_store(folder)) as store:
        while group := list(islice(source, _GROUP)):
            for outcome in store.commit([_append(record) for record in group]):
                if isinstance(outcome, SequenceConflictError):
                    raise outcome
            store.tidy()


def _append(record: Record) -> Append:
    return Append(search_id=record.search_id, expected_sequence=record.sequence - 1, payloads=(record.payload,))


def _copy_files(diagnosis: Diagnosis, state_dir: Path, folder: Path) -> tuple[int, tuple[Path, ...]]:
    """Copy the files of the searches that are kept; return how many, and those that are damaged or unreadable."""
    files, left_files = 0, []
    for search in diagnosis.searches:
        root = state_dir / "searches" / search.search_id
        for path in sorted(path for path in root.rglob("*") if search.kept and not path.is_dir()):
            content = None if path in search.damaged_weights else _read(path)
            if content is None:
                left_files.append(path)
                continue
            copy = folder / path.relative_to(state_dir)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            files += 1
    return files, tuple(left_files)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Lend a folder that gets its name when the block ends well, and is deleted otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))  # mode 0700
    try:
        yield folder
        for path in (folder, *folder.rglob("*")):
            (sync_folder if path.is_dir() else sync_file)(path)
        folder.rename(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
