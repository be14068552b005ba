# SPDX-License-Identifier: Apache-2.0
"""Writing what is good of a journal into a new one: new positions, a new chain, a new high-water mark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from server.journal.base import SequenceConflictError
from server.journal.recovery import open_store
from server.journal.store import Append
from server.journal.survivors import Sighting

_GROUP: Final = 1000
"""Records that share a transaction."""


def write_records(state_dir: Path, records: Iterable[Sighting]) -> None:
    """Make a journal of records whose sequences have no gap; all of them are durable when this returns.

    Raises:
        SequenceConflictError: there was a gap.
        JournalFullError, JournalFailedError: see there.
        OSError: the folder cannot be created.
    """
    source = iter(records)
    with contextlib.closing(open_store(state_dir)) as store:
        while group := list(islice(source, _GROUP)):
            for outcome in store.commit([_append(record) for record in group]):
                if isinstance(outcome, SequenceConflictError):
                    raise outcome
            store.tidy()


def _append(record: Sighting) -> Append:
    return Append(search_id=record.search_id, expected_sequence=record.sequence - 1, payloads=(record.payload,))
