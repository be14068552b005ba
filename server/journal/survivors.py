# SPDX-License-Identifier: Apache-2.0
"""What can still be read of a damaged database, and which of it the chain proves.

Each record is reachable in two ways, through the table and through the index of positions, and each way from both
ends; a bad page rarely cuts all four. Nor is SQLite's view of database and log the only one. Where a row comes from
does not matter: the chain says whether it is the one that was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from server.journal.chain import GENESIS, link
from server.journal.database import ROW_TYPES, Row

_COLUMNS: Final = "SELECT position, search_id, sequence, payload, chain FROM event"
_BY_POSITION: Final = f"{_COLUMNS} ORDER BY position"
_BY_TABLE: Final = tuple(f"{_COLUMNS} ORDER BY search_id {way}, sequence {way}" for way in ("ASC", "DESC"))
_POSITIONS: Final = (
    "SELECT position FROM event ORDER BY position",
    "SELECT position FROM event ORDER BY position DESC",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A row that can be read.

    Attributes:
        is_proven: its chain follows from the record before it. If not, it may be something else than what was written.
    """

    position: int
    search_id: str
    sequence: int
    payload: bytes
    chain: bytes
    is_proven: bool


def sightings(sources: Sequence[apsw.Connection], *, is_sound: bool) -> Iterator[Sighting]:
    """Yield everything that can be read, in the order of positions, one row a position.

    A record is proven if its chain follows from the one before it, whether that one's chain is as stored or has to be
    computed; so behind a record that is gone altogether one more stays unproven, and the rest does not.

    Args:
        sources: views of the database, the likeliest first.
        is_sound: whether that one was proven already, and there is nothing to look for off the straight way.
    """
    position, chain = 0, GENESIS
    for row in (row for source in sources[:1] for row in _read(source, _BY_POSITION)):
        if not _is_row(row) or row[0] != position + 1 or _follow(chain, row) != row[4]:
            break
        position, chain = row[0], row[4]
        yield _sighting(row, is_proven=True)
    if not is_sound:
        found: dict[int, list[Row]] = {}
        for source in sources:
            _gather(source, position, found)
        yield from _prove(found, position, chain)


def _prove(found: dict[int, list[Row]], last: int, chain: bytes) -> Iterator[Sighting]:
    chains = {chain}
    for position in sorted(found):
        rows = found[position]
        if position != last + 1:
            chains = set()
        computed = {_follow(chain, row) for chain in chains for row in rows}
        proven = next((row for row in rows if row[4] in computed), None)
        chains = {proven[4]} if proven else {row[4] for row in rows} | computed
        last = position
        yield _sighting(proven or rows[0], is_proven=proven is not None)


def _gather(connection: apsw.Connection, after: int, found: dict[int, list[Row]]) -> None:
    """Find the rows behind a position, by their position, whichever way they are reached."""
    reached: set[int] = set()
    for sql in _BY_TABLE:
        reached |= _collect(_read(connection, sql), after, found)
    positions = {
        row[0] for sql in _POSITIONS for row in _read(connection, sql) if type(row[0]) is int and row[0] > after
    }
    for position in positions - reached:
        _collect(_read(connection, f"{_COLUMNS} WHERE position = ?", position), after, found)


def _collect(rows: Iterator[Row], after: int, found: dict[int, list[Row]]) -> set[int]:
    positions = set()
    for row in rows:
        if _is_row(row) and row[0] > after:
            positions.add(row[0])
            if row not in (known := found.setdefault(row[0], [])):
                known.append(row)
    return positions


def _read(connection: apsw.Connection, sql: str, *arguments: object) -> Iterator[Row]:
    """Yield rows up to the first that cannot be read."""
    try:
        yield from connection.execute(sql, arguments)
    except (apsw.Error, UnicodeError, MemoryError):  # a damaged length may ask for any amount of memory
        return


def _is_row(row: tuple[object, ...]) -> bool:
    return tuple(map(type, row)) == ROW_TYPES and row[0] > 0 and row[2] > 0  # type: ignore[operator]


def _follow(chain: bytes, row: Row) -> bytes:
    return link(chain, position=row[0], search_id=row[1], sequence=row[2], payload=row[3])


def _sighting(row: Row, *, is_proven: bool) -> Sighting:
    position, search_id, sequence, payload, chain = row
    return Sighting(
        position=position, search_id=search_id, sequence=sequence, payload=payload, chain=chain, is_proven=is_proven
    )
