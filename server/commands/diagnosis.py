# SPDX-License-Identifier: Apache-2.0
"""What a stopped server's folder holds and what is wrong with it, from the journal's bytes up to the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nas.search.evolve import evolve
from nas.search.retention import retained
from nas.search.simulation import simulated_weights
from nas.search.state import Child, Search
from server.codec.envelope import decode
from server.files import StateFiles
from server.journal.base import Record
from server.journal.survey import Part, Survey

LOCK: Final = "lock"
EVENTS: Final = "events"
WEIGHTS: Final = "weights"
CHECKS: Final[Mapping[str, str]] = {
    LOCK: "no server has the folder open",
    Part.SCHEMA: "the tables are of a version that this server knows",
    Part.DATABASE: "SQLite's own check of every page",
    Part.CHAIN: "every record is the one that was written",
    Part.SEQUENCES: "the events of each search have no gap",
    Part.HIGH_WATER: "every record that was acknowledged is there",
    EVENTS: "every event can be read and follows from those before it",
    WEIGHTS: "the weights that the journal names are those that were written",
}
"""What is the case if a check passes, in the order in which the checks build on each other."""

SALVAGED: Final = "salvaged.json"
"""File in a folder that a salvage has made: says what was copied and what was not."""

_MISSING: Final = "is missing"
_SAVE: Final = "restore the folder from a backup, or copy what is good with --salvage TARGET_DIR"
_REMEDIES: Final = {
    Part.SCHEMA: f"start the newest version of nas-server on it; if that refuses it too, {_SAVE}",
    EVENTS: f"start the version of nas-server that wrote it, or {_SAVE}",
    WEIGHTS: "restore the file from a backup, or do without the weights of this child",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong.

    Attributes:
        check: one of ``CHECKS``.
        problem: what is wrong, a clause.
        remedy: what to do about it, a clause.
        search_id, sequence: the event that it is about; empty and 0 where it is about more than one.
    """

    check: str
    problem: str
    remedy: str
    search_id: str = ""
    sequence: int = 0


@dataclass(slots=True)
class SearchRecord:
    """One search, as far as its events are good.

    Attributes:
        search: its state after the last good event, ``None`` without one.
        good: number of events, from the first on, that are proven and follow from each other.
        known: number of events that it had at least.
        kept: number of events that a salvage copies.
        kept_search: the state after the last of them.
        is_cut: whether it had more events, or may have had.
        damaged_weights: files that are not what the journal says.
        absent_weights: files that are missing where events are gone too, one of which may have had them deleted.
    """

    search_id: str
    known: int
    search: Search | None = None
    good: int = 0
    kept: int = 0
    kept_search: Search | None = None
    is_cut: bool = False
    damaged_weights: frozenset[Path] = frozenset()
    absent_weights: frozenset[Path] = frozenset()
    _group: tuple[int, float] | None = None
    _before_group: tuple[int, Search | None] = (0, None)
    _is_readable: bool = True

    def fold(self, record: Record) -> Finding | None:
        """Apply the next event to the state; return why if that cannot be done. After that, no event is applied."""
        if not self._is_readable:
            return None
        try:
            envelope = decode(record.payload)
            if (envelope.search_id, envelope.sequence) != (record.search_id, record.sequence):
                raise ValueError(f"it says that it is event {envelope.sequence} of search {envelope.search_id}")
            search = evolve(self.search, envelope.fact)
        except Exception as error:  # whatever it is, a server would fail on it
            self._is_readable = False
            return _misfit(record, error)
        group = (envelope.time_ns, envelope.running_seconds)  # the events of one command share both
        if group != self._group:
            self._group, self._before_group = group, (self.good, self.search)
        self.search, self.good = search, envelope.sequence
        return None

    def close(self, *, has_lost_records: bool, has_whole_transactions: bool) -> None:
        """Decide where a salvage cuts: never between the events of one command, which only make sense together."""
        has_ended = self.search is not None and self.search.state.is_terminal
        self.is_cut = self.good < self.known or (has_lost_records and not has_ended)
        # Where whole transactions are gone, whole commands are gone; else the end of the last command may be gone.
        is_ragged = self.good < self.known or (self.is_cut and not has_whole_transactions)
        self.kept, self.kept_search = self._before_group if is_ragged else (self.good, self.search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The whole folder.

    Attributes:
        findings: in the order of ``CHECKS``; none if all is well.
        searches: in the order of their first events.
    """

    findings: tuple[Finding, ...]
    searches: tuple[SearchRecord, ...]


def diagnose(survey: Survey, files: StateFiles) -> Diagnosis:
    """Fold the good events of each search and check its weights.

    Raises:
        OSError: a file of weights cannot be opened for want of permission.
    """
    findings = [
        Finding(check=damage.part, problem=damage.problem, remedy=_REMEDIES.get(damage.part, _SAVE))
        for damage in survey.damages
    ]
    searches = {search_id: SearchRecord(search_id, known) for search_id, known in survey.known.items()}
    for record in survey.records():
        if finding := searches[record.search_id].fold(record):
            findings.append(finding)
    excused = _read_excused(files)
    for search in searches.values():
        search.close(has_lost_records=survey.unattributed > 0, has_whole_transactions=survey.has_whole_transactions)
        findings += _check_weights(search, files, excused)
    return Diagnosis(findings=tuple(findings), searches=tuple(searches.values()))


def _misfit(record: Record, error: Exception) -> Finding:
    return Finding(
        check=EVENTS,
        problem=f"event {record.sequence} of search {record.search_id} does not follow: {error}",
        remedy=_REMEDIES[EVENTS],
        search_id=record.search_id,
        sequence=record.sequence,
    )


def _check_weights(search: SearchRecord, files: StateFiles, excused: frozenset[Path]) -> Iterator[Finding]:
    """Compare the weights that the search still needs with what the journal says of them."""
    state = search.kept_search
    if state is None:
        return
    damaged, absent = set(), set()
    for child_id in sorted(retained(state).weights & state.children.keys()):
        child = state.children[child_id]
        path = files.weights(search.search_id, child_id)
        problem = _compare(path, child) if child.weights_sha256 else None
        if problem is None or (problem == _MISSING and _is_simulated(child, state)):
            continue
        if problem == _MISSING and (search.is_cut or path in excused):
            absent.add(path)
            continue
        damaged.add(path)
        what = f"{path} with the weights of child {child_id} of search {search.search_id} {problem}"
        yield Finding(check=WEIGHTS, problem=what, remedy=_REMEDIES[WEIGHTS], search_id=search.search_id)
    search.damaged_weights, search.absent_weights = frozenset(damaged), frozenset(absent)


def _read_excused(files: StateFiles) -> frozenset[Path]:
    """Return the weights that were missing already when a salvage made this folder."""
    try:
        absent = json.loads((files.root / SALVAGED).read_bytes())["absent_weights"]
        return frozenset(files.root / str(path) for path in absent)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return frozenset()


def _compare(path: Path, child: Child) -> str | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return _MISSING
    except PermissionError:
        raise
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest == child.weights_sha256 else "is not what was written: its SHA-256 is another one"


def _is_simulated(child: Child, search: Search) -> bool:
    """Tell whether nothing was trained: the executor ``fake`` names weights and writes none."""
    weights = simulated_weights(search_seed=search.config.seed, graph_hash=child.graph_hash)
    return hashlib.sha256(weights).hexdigest() == child.weights_sha256
