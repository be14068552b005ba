# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the journal of a stopped server, and which of its records are good; nothing is changed.

Whether anything is wrong is decided by the checks with which a server opens a journal. Here all of them are made, even
if one fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import apsw

from server.journal import database
from server.journal.base import FutureVersionError, JournalDamagedError, JournalMissingError, Record, in_one_line
from server.journal.evidence import evidence_vfs
from server.journal.high_water import Mark, read_slots
from server.journal.recovery import (
    DATABASE,
    HIGH_WATER,
    is_unfinished,
    lock,
    newest,
    require_acknowledged,
    require_journal,
    require_new,
)
from server.journal.survivors import proven_records

T = TypeVar("T")


class Part(StrEnum):
    """What is checked, in this order."""

    SCHEMA = "schema"
    DATABASE = "database"
    CHAIN = "chain"
    SEQUENCES = "sequences"
    HIGH_WATER = "high-water mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something wrong, as a clause without a full stop."""

    part: Part
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known about a journal; usable inside the ``with`` block that made it.

    Attributes:
        damages: everything wrong, in the order of the parts; empty if a server would open the journal.
        version: of the schema, ``None`` if the records cannot be read.
        acknowledged: number of records that clients were told about, ``None`` if that is not known.
        total: number of records that were written, as far as can be told.
        good: by search, how many events from the first on are proven without a gap, in the order of the searches.
        known: by search, how many events it had at least.
        has_whole_transactions: whether all that can be read is proven, so that what is gone is whole transactions.
    """

    damages: tuple[Damage, ...]
    version: int | None
    acknowledged: int | None
    total: int
    good: Mapping[str, int]
    known: Mapping[str, int]
    has_whole_transactions: bool
    _connection: apsw.Connection | None

    @property
    def unattributed(self) -> int:
        """Number of records that are gone without a trace of the search that they belonged to."""
        return _unattributed(self.total, self.known)

    def records(self) -> Iterator[Record]:
        """Yield the good records in the order in which they were written."""
        if self._connection is not None:
            for _, record in proven_records(self._connection):
                if record.sequence <= self.good.get(record.search_id, 0):
                    yield record


@contextlib.contextmanager
def survey(state_dir: Path) -> Iterator[Survey]:
    """Examine the journal in a folder, and hold the folder's lock for the length of the block.

    Raises:
        JournalMissingError: there is none.
        StateLockedError: a server has it open.
        OSError: a file cannot be opened.
    """
    require_journal(state_dir)
    damages: list[Damage] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock(state_dir, creates=False))
        slots = _read_slots(state_dir, damages)
        connection = _note(damages, Part.DATABASE, lambda: _connect(state_dir, newest(slots)))
        if connection is not None:
            stack.enter_context(contextlib.closing(connection))
        yield _examine(connection, state_dir / DATABASE, slots, damages)


def _connect(state_dir: Path, acknowledged: Mark | None) -> apsw.Connection:
    if is_unfinished(state_dir):
        require_new(state_dir, acknowledged)
        raise JournalMissingError(state_dir)
    return database.connect(state_dir / DATABASE, is_read_only=True, vfs=evidence_vfs())


def _read_slots(state_dir: Path, damages: list[Damage]) -> tuple[Mark | None, ...]:
    try:
        return read_slots(state_dir / HIGH_WATER)
    except PermissionError:
        raise
    except OSError as error:
        damages.append(Damage(part=Part.HIGH_WATER, problem=f"{HIGH_WATER} cannot be read: {error.strerror}"))
        return ()


def _examine(
    connection: apsw.Connection | None, path: Path, slots: tuple[Mark | None, ...], damages: list[Damage]
) -> Survey:
    version = None if connection is None else _read_version(connection, path, damages)
    readable = None if version is None else connection
    acknowledged = newest(slots)
    has_whole_transactions = _prove(readable, path, acknowledged, damages)
    good, known, last = ({}, {}, 0) if readable is None else _count(readable, slots)
    total = max(acknowledged.position if acknowledged else 0, last)
    if damages:
        damages += _check_sequences(good, known, total)
    return Survey(
        damages=tuple(sorted(damages, key=lambda damage: list(Part).index(damage.part))),
        version=version,
        acknowledged=acknowledged.position if acknowledged else None,
        total=total,
        good=MappingProxyType(good),
        known=MappingProxyType(known),
        has_whole_transactions=has_whole_transactions,
        _connection=readable,
    )


def _note(damages: list[Damage], part: Part, check: Callable[[], T]) -> T | None:
    """Return what a check returns; add what it finds to the damages."""
    try:
        return check()
    except JournalDamagedError as error:
        damages.append(Damage(part=part, problem=error.reason))
    except FutureVersionError as error:
        problem = f"it has version {error.found} and this server knows versions up to {error.supported}"
        damages.append(Damage(part=part, problem=problem))
    except (apsw.Error, UnicodeError) as error:
        problem = f"SQLite cannot read {DATABASE}: {in_one_line(error)}"
        damages.append(Damage(part=Part.DATABASE, problem=problem))
    return None


def _read_version(connection: apsw.Connection, path: Path, damages: list[Damage]) -> int | None:
    """Return the version of the schema; where the header is damaged, that of the tables if they are known."""
    version = _note(damages, Part.SCHEMA, lambda: database.schema_version(connection, path))
    return 1 if version is None and database.has_first_schema(connection) else version


def _prove(connection: apsw.Connection | None, path: Path, acknowledged: Mark | None, damages: list[Damage]) -> bool:
    """Make the checks of ``recovery.prove`` one by one and return whether all that can be read is proven."""
    contents: database.Contents | None = database.Contents()
    before = len(damages)
    if connection is not None:
        position = acknowledged.position if acknowledged else 0
        contents = _note(damages, Part.CHAIN, lambda: database.walk(connection, path, remember=position))
        _note(damages, Part.DATABASE, lambda: database.check_pages(connection, path, contents or database.Contents()))
    is_proven = len(damages) == before
    if contents is not None:
        _note(damages, Part.HIGH_WATER, lambda: require_acknowledged(contents, path, acknowledged))
    return is_proven


def _count(connection: apsw.Connection, slots: tuple[Mark | None, ...]) -> tuple[dict[str, int], dict[str, int], int]:
    """Return ``good`` and ``known`` as in ``Survey``, and the position of the last proven record.

    Of a database that is not the one that was acknowledged, no record is good.
    """
    good: dict[str, int] = {}
    known: dict[str, int] = {}
    last, is_foreign = 0, False
    for last, record in proven_records(connection):
        search_id, sequence = record.search_id, record.sequence
        known[search_id] = max(sequence, known.get(search_id, 0))
        if sequence == good.get(search_id, 0) + 1:
            good[search_id] = sequence
        is_foreign |= any(mark.position == last and mark.chain != record.chain for mark in slots if mark)
    return {} if is_foreign else good, known, last


def _check_sequences(good: Mapping[str, int], known: Mapping[str, int], total: int) -> Iterator[Damage]:
    for search_id, count in known.items():
        proven = good.get(search_id, 0)
        if proven < count:
            what = f"events 1 to {proven} of {count} are good" if proven else "no event is good"
            yield Damage(part=Part.SEQUENCES, problem=f"of search {search_id} {what}")
    if unattributed := _unattributed(total, known):
        problem = f"{unattributed} records are gone, and of which search they were is not known"
        yield Damage(part=Part.SEQUENCES, problem=problem)


def _unattributed(total: int, known: Mapping[str, int]) -> int:
    return max(0, total - sum(known.values()))
