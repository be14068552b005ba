# SPDX-License-Identifier: Apache-2.0
"""A new state folder with everything that is good in a damaged one; the damaged one stays as it is."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.durable import sync_file, sync_folder
from server.commands.diagnosis import SALVAGED, Diagnosis, SearchRecord
from server.journal.salvage import write_records
from server.journal.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Events of a search that a salvage does not copy.

    Attributes:
        first, last: sequences; there may have been more behind the last.
    """

    search_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was copied and what was not.

    Attributes:
        target: the new folder, ``None`` if nothing is good and there is none.
        records: events copied, of all searches.
        files: files below ``searches/`` copied.
        left_out: events not copied.
        left_files: files not copied: damaged weights, and what cannot be read.
        absent_weights: files that the copied events name and that are not there, perhaps because later events, which
            are gone, had them dropped.
        unattributed: records that are gone without a trace of which search they were.
    """

    target: Path | None
    records: int
    files: int
    left_out: tuple[LeftOut, ...]
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
                {"search_id": part.search_id, "first_sequence": part.first, "last_sequence": part.last}
                for part in self.left_out
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
    planned = _plan(survey, diagnosis, state_dir, target)
    if planned.target is None:
        return planned
    kept = {search.search_id: search.kept for search in diagnosis.searches}
    damaged = frozenset().union(*(search.damaged_weights for search in diagnosis.searches))
    left_files, files = [], 0
    with _appearing(target) as folder:
        write_records(folder, (record for record in survey.records() if record.sequence <= kept[record.search_id]))
        for path in (path for search in diagnosis.searches for path in _files_of(search, state_dir)):
            if path not in damaged and _copy(path, folder / path.relative_to(state_dir)):
                files += 1
            else:
                left_files.append(path)
        done = replace(planned, files=files, left_files=tuple(left_files))
        (folder / SALVAGED).write_text(json.dumps(done.document(), indent=2) + "\n")
    return done


def _plan(survey: Survey, diagnosis: Diagnosis, state_dir: Path, target: Path) -> Salvage:
    records = sum(search.kept for search in diagnosis.searches)
    return Salvage(
        target=target if records else None,
        records=records,
        files=0,
        left_out=tuple(
            LeftOut(search_id=search.search_id, first=search.kept + 1, last=search.known)
            for search in diagnosis.searches
            if search.kept < search.known
        ),
        left_files=(),
        absent_weights=tuple(
            path.relative_to(state_dir) for search in diagnosis.searches for path in sorted(search.absent_weights)
        ),
        unattributed=survey.unattributed,
    )


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Lend a folder that gets its name when the block ends well, and goes away otherwise."""
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


def _files_of(search: SearchRecord, state_dir: Path) -> list[Path]:
    if not search.kept:
        return []
    return sorted(path for path in (state_dir / "searches" / search.search_id).rglob("*") if not path.is_dir())


def _copy(source: Path, target: Path) -> bool:
    """Copy a file and tell whether it could be read."""
    try:
        content = source.read_bytes()
    except OSError:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return True
