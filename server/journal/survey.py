# SPDX-License-Identifier: Apache-2.0
"""Looking at the journal of a stopped server: what is wrong with it, and what of it is good, without touching it.

Whether anything is wrong is decided by the code that opens a journal; here each part is looked at by itself, and none
keeps the others from being looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import apsw

from server.journal import database
from server.journal.base import FutureVersionError, JournalDamagedError, JournalMissingError, in_one_line
from server.journal.evidence import evidence_vfs
from server.journal.high_water import Mark, read_slots
from server.journal.image import read_images
from server.journal.ledger import Ledger
from server.journal.recovery import (
    DATABASE,
    HIGH_WATER,
    LOG,
    is_unfinished,
    lock,
    newest,
    prove,
    require_journal,
    require_new,
)
from server.journal.survivors import Sighting, sightings

_LARGEST_MESSAGES: Final = 3
"""Of SQLite's own check; the first ones say enough."""


class Part(StrEnum):
    """What is looked at, in this order."""

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
    """What is known about a journal; usable inside the block that made it.

    Attributes:
        damages: everything wrong, in the order of the parts; empty if a server would open it.
        version: of the schema, ``None`` if there is none to be read.
        acknowledged: records that were, ``None`` if that is not known.
        total: records that there were at least, acknowledged or not.
        good: how many events of each search are proven and without a gap from the first, in the order of the searches.
        known: how many events each search had at least, also of those with no good ones.
        has_whole_transactions: whether what is there was read by SQLite alone, from pages in which it finds nothing
            wrong.
    """

    damages: tuple[Damage, ...]
    version: int | None
    acknowledged: int | None
    total: int = 0
    good: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    known: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    has_whole_transactions: bool = False
    _sources: tuple[apsw.Connection, ...] = ()

    @property
    def unattributed(self) -> int:
        """Records that are gone, and of which search they were is not known."""
        return max(0, self.total - sum(self.known.values()))

    def records(self) -> Iterator[Sighting]:
        """Yield the good records in the order of their positions."""
        for sighting in sightings(self._sources, is_sound=not self.damages):
            if sighting.is_proven and sighting.sequence <= self.good.get(sighting.search_id, 0):
                yield sighting


@contextlib.contextmanager
def survey(state_dir: Path) -> Iterator[Survey]:
    """Look at the journal in a folder and own the folder for the length of the block.

    Raises:
        JournalMissingError: there is none.
        StateLockedError: a server has it open.
        OSError: a file cannot be opened.
    """
    require_journal(state_dir)
    with ExitStack() as stack:
        stack.enter_context(lock(state_dir, creates=False))
        damages, slots = _read_slots(state_dir)
        if is_unfinished(state_dir):
            damages += _check_absence(state_dir, newest(slots))
            yield _look(state_dir, None, slots, damages, stack)
            return
        try:
            connection = database.connect(state_dir / DATABASE, is_read_only=True, vfs=evidence_vfs())
            stack.enter_context(contextlib.closing(connection))
        except apsw.Error as error:
            damages.append(Damage(part=Part.DATABASE, problem=f"SQLite cannot open {DATABASE}: {in_one_line(error)}"))
            yield _look(state_dir, None, slots, damages, stack)
        else:
            yield _look(state_dir, connection, slots, damages, stack)


def _read_slots(state_dir: Path) -> tuple[list[Damage], tuple[Mark | None, ...]]:
    try:
        return [], read_slots(state_dir / HIGH_WATER)
    except PermissionError:
        raise
    except OSError as error:
        return [Damage(part=Part.HIGH_WATER, problem=f"{HIGH_WATER} cannot be read: {error.strerror}")], ()


def _look(
    state_dir: Path,
    connection: apsw.Connection | None,
    slots: tuple[Mark | None, ...],
    damages: list[Damage],
    stack: ExitStack,
) -> Survey:
    path = state_dir / DATABASE
    version, pages, sources = None, [], []
    if connection is not None:
        version, found = _check_schema(connection, path)
        damages += found
    if connection is not None and version is not None:
        pages = _check_pages(connection)
        damages += pages + _check_opening(connection, path, version, newest(slots))
        sources.append(connection)
    if damages:
        sources += _read_images(state_dir, stack)
    ledger = Ledger(marks=tuple(mark for mark in slots if mark))
    ledger.fill(sightings(sources, is_sound=not damages))
    if damages:
        damages = _explain(damages, ledger)
    return Survey(
        damages=tuple(sorted(damages, key=lambda damage: list(Part).index(damage.part))),
        version=version,
        acknowledged=ledger.acknowledged,
        total=ledger.total,
        good=MappingProxyType(ledger.good),
        known=MappingProxyType(ledger.known),
        has_whole_transactions=sources == [connection] and not pages,
        _sources=tuple(sources),
    )


def _read_images(state_dir: Path, stack: ExitStack) -> Iterator[apsw.Connection]:
    """Yield what the log holds behind its first damaged frame, if it is a journal of this version."""
    try:
        for image in read_images(state_dir / DATABASE, state_dir / LOG):
            stack.enter_context(contextlib.closing(image))
            if database.has_first_schema(image):
                yield image
    except (OSError, apsw.Error):
        return  # what cannot be read cannot help


def _check_absence(state_dir: Path, acknowledged: Mark | None) -> list[Damage]:
    try:
        require_new(state_dir, acknowledged)
    except JournalDamagedError as error:
        return [Damage(part=Part.DATABASE, problem=f"{DATABASE} cannot be used: {error.reason}")]
    raise JournalMissingError(state_dir)


def _check_schema(connection: apsw.Connection, path: Path) -> tuple[int | None, list[Damage]]:
    """Return the version, ``None`` if the records cannot be read by it, and what is wrong."""
    try:
        return database.schema_version(connection, path), []
    except FutureVersionError as error:
        problem = f"it has version {error.found} and this server knows versions up to {error.supported}"
    except JournalDamagedError as error:
        problem = error.reason
    except (apsw.Error, UnicodeError) as error:
        return None, [Damage(part=Part.DATABASE, problem=f"SQLite cannot read {DATABASE}: {in_one_line(error)}")]
    return (1 if database.has_first_schema(connection) else None), [Damage(part=Part.SCHEMA, problem=problem)]


def _check_pages(connection: apsw.Connection) -> list[Damage]:
    try:
        messages = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_LARGEST_MESSAGES})")]
    except (apsw.Error, UnicodeError) as error:
        messages = [str(error)]
    if messages == ["ok"]:
        return []
    text = "; ".join(in_one_line(" ".join(str(message).split())) for message in messages)
    return [Damage(part=Part.DATABASE, problem=f"SQLite's own check says: {text}")]


def _check_opening(connection: apsw.Connection, path: Path, version: int, acknowledged: Mark | None) -> list[Damage]:
    """Ask the code that a server opens the journal with."""
    try:
        prove(connection, path, version, acknowledged)
    except JournalDamagedError as error:
        return [Damage(part=Part.CHAIN, problem=error.reason)]
    return []


def _explain(damages: list[Damage], ledger: Ledger) -> list[Damage]:
    """Say the same with everything that was found out, instead of where the opening stopped."""
    found = _explain_chain(ledger) + _explain_sequences(ledger) + _explain_high_water(ledger)
    if any(damage.part in (Part.CHAIN, Part.HIGH_WATER) for damage in found):
        return [damage for damage in damages if damage.part is not Part.CHAIN] + found
    if not found and ledger.total:
        hope = f"; all {ledger.total} records can be read from what is there all the same"
        damages = [replace(damage, problem=damage.problem + hope) for damage in damages[:1]] + damages[1:]
    return damages + found


def _explain_chain(ledger: Ledger) -> list[Damage]:
    stretches = [f"{first}" if first == last else f"{first} to {last}" for first, last in ledger.gaps]
    if ledger.tail:
        stretches.append(f"{ledger.last + 1} and after")
    if not stretches:
        return []
    problem = f"the records at positions {', '.join(stretches)} were altered, are gone, or stand behind one that is"
    return [Damage(part=Part.CHAIN, problem=problem)]


def _explain_sequences(ledger: Ledger) -> list[Damage]:
    found = [
        f"of search {search_id} events 1 to {good} of {known} are good"
        if (good := ledger.good.get(search_id, 0))
        else f"of search {search_id} no event is good"
        for search_id, known in ledger.known.items()
        if ledger.good.get(search_id, 0) < known
    ]
    if unattributed := max(0, ledger.total - sum(ledger.known.values())):
        found.append(f"{unattributed} records are gone, and of which search they were is not known")
    return [Damage(part=Part.SEQUENCES, problem=problem) for problem in found]


def _explain_high_water(ledger: Ledger) -> list[Damage]:
    acknowledged = ledger.acknowledged
    if ledger.is_foreign:
        problem = (
            f"the records are not those that were acknowledged: {DATABASE} and {HIGH_WATER} do not belong together"
        )
    elif acknowledged is None and ledger.total:
        problem = f"{HIGH_WATER} is missing or unreadable, so nobody knows how many records were acknowledged"
    elif acknowledged is not None and not ledger.tail and ledger.last < acknowledged:
        problem = f"the records end at position {ledger.last}, and {acknowledged} were acknowledged"
    else:
        return []
    return [Damage(part=Part.HIGH_WATER, problem=problem)]
