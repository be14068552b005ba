# SPDX-License-Identifier: Apache-2.0
"""The records of a damaged journal that the chain still proves."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from server.journal.base import Record
from server.journal.chain import GENESIS, link
from server.journal.database import ROW_TYPES, Row, rows


def proven_records(connection: apsw.Connection) -> Iterator[tuple[int, Record]]:
    """Yield the position and the content of each proven record, in order, up to the first row that SQLite cannot read.

    A record is proven if its chain follows from the record before it. If that one was altered, its stored chain and
    the chain computed from the record before it are tried. So an altered record does not spoil those behind it. Behind
    a missing record, only the next one cannot be proven.
    """
    last, chains = 0, {GENESIS}
    for row in _readable(connection):
        position, search_id, sequence, payload, chain = row
        computed = {_follow(before, row) for before in chains} if position == last + 1 else set()
        is_proven = chain in computed
        last, chains = position, {chain} if is_proven else {chain, *computed}
        if is_proven:
            yield position, Record(search_id=search_id, sequence=sequence, payload=payload, chain=chain)


def _readable(connection: apsw.Connection) -> Iterator[Row]:
    try:
        for row in rows(connection):
            if tuple(map(type, row)) == ROW_TYPES and row[0] > 0 and row[2] > 0:
                yield row
    except (apsw.Error, UnicodeError, MemoryError):  # a damaged length may ask for any amount of memory
        return


def _follow(chain: bytes, row: Row) -> bytes:
    return link(chain, position=row[0], search_id=row[1], sequence=row[2], payload=row[3])
