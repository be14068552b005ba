# SPDX-License-Identifier: Apache-2.0
"""What every journal can do: append at an expected sequence and read after a sequence; and the errors of both.

JournalError
├── SequenceConflictError    append: somebody else was faster
├── JournalFullError         append, open: no space left; nothing was written, try again later
├── JournalFailedError       any: the disk failed; everything is refused until the server restarts
├── JournalClosedError       any: used after close
├── JournalReadOnlyError     append: opened for inspection only
├── JournalMissingError      open for inspection: there is no journal in this folder
├── JournalDamagedError      open, read: acknowledged records are gone or altered
├── FutureVersionError       open: written by a newer server
└── StateLockedError         open: another server owns the folder
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nas.text import escape

_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One journaled event.

    Attributes:
        search_id: the search it belongs to.
        sequence: its number in that search, counted from 1 without a gap.
        payload: the event, as the caller encoded it.
        chain: SHA-256 over this record and all records before it, of every search, see ``server.journal.chain``.
    """

    search_id: str
    sequence: int
    payload: bytes
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a search has come: the sequence of its last record."""

    search_id: str
    sequence: int


class Journal(Protocol):
    """Durable, ordered events of all searches.

    Payloads are opaque. All methods belong to the event loop on which the journal was opened; any number of tasks may
    call them at once. A process owns a journal alone. What ``append`` returned is durable and is read back unchanged
    for ever, and a read never shows what is not durable yet. If a task is cancelled while it waits, its call is carried
    out all the same. After ``close`` every method but ``close`` raises ``JournalClosedError``; after a
    ``JournalFailedError`` every method but ``close`` raises it again.
    """

    async def append(self, search_id: str, expected_sequence: int, payloads: Sequence[bytes]) -> tuple[Record, ...]:
        """Append all payloads or none, and return them as records once they are durable.

        Args:
            search_id: the search; its first append creates it.
            expected_sequence: the sequence of the search's last record, 0 for a new search.
            payloads: one per record, in order. If there are none, only the expected sequence is checked.

        Raises:
            SequenceConflictError: the search's head is another one; nothing was written.
            JournalFullError: no space left; nothing was written, and a later append may succeed.
            JournalFailedError: reading or writing failed; whether the records are durable shows at the next opening.
            JournalReadOnlyError: the journal was opened for inspection.
            ValueError: ``search_id`` is no text that can be encoded.
        """
        ...

    async def read(self, search_id: str, after_sequence: int, limit: int) -> tuple[Record, ...]:
        """Return up to ``limit`` records of a search whose sequence is above ``after_sequence``, in order.

        Fewer than ``limit`` come back only where the search has no more; of an unknown search there are none.

        Raises:
            ValueError: ``after_sequence`` is negative, or ``limit`` is not positive.
            JournalDamagedError: a record that was there at opening is gone.
        """
        ...

    async def heads(self) -> tuple[Head, ...]:
        """Return the head of every search, in the order in which the searches were first appended."""
        ...

    async def close(self) -> None:
        """Carry out what was asked before, then close all files; closing again does nothing.

        Raises:
            JournalFailedError: tidying up failed; acknowledged records are safe regardless.
        """
        ...


def require_range(after_sequence: int, limit: int) -> None:
    """Check the arguments of a read.

    Raises:
        ValueError: ``after_sequence`` is negative, or ``limit`` is not positive.
    """
    if after_sequence < 0 or limit < 1:
        raise ValueError(f"a read takes after_sequence >= 0 and limit >= 1, not {after_sequence} and {limit}")


def in_one_line(words: object) -> str:
    """Turn a message of SQLite into one short printable line: it may quote a damaged file, which can hold anything."""
    return escape(str(words)[:_MOST_CHARACTERS])


class JournalError(Exception):
    """Root of everything a journal raises about itself."""


class SequenceConflictError(JournalError):
    """The search is not where the caller believed it to be."""

    def __init__(self, search_id: str, expected: int, head: int) -> None:
        super().__init__(
            f"search {search_id} is at sequence {head}, not at {expected}: read what is there, then decide again"
        )
        self.search_id = search_id
        self.expected = expected
        self.head = head


class JournalFullError(JournalError):
    """No space is left where the journal lies; nothing was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no space is left for the journal {path}: free some, then try again; nothing was written")
        self.path = path


class JournalFailedError(JournalError):
    """Reading or writing failed; retrying a failed fsync would lie, so nothing is accepted any more."""

    def __init__(self, path: Path, reason: str) -> None:
        reason = in_one_line(reason)
        super().__init__(f"the journal {path} failed ({reason}): check the disk, then restart the server")
        self.path = path
        self.reason = reason


class JournalClosedError(JournalError):
    """The journal was used after it had been closed."""

    def __init__(self) -> None:
        super().__init__("the journal is closed: open it again")


class JournalReadOnlyError(JournalError):
    """An append to a journal that was opened for inspection."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the journal {path} was opened for inspection only: start a server to append to it")
        self.path = path


class JournalMissingError(JournalError):
    """There is nothing to inspect."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(f"there is no journal in {state_dir}: name the state folder of a server that has been started")
        self.state_dir = state_dir


class JournalDamagedError(JournalError):
    """Records that were acknowledged are gone or altered.

    Attributes:
        path: the database.
        reason: what is wrong with it.
        position: of the last good record among those of all searches, 0 if none is known to be good.
        search_id: of the last good record, empty if there is none.
        sequence: of the last good record, 0 if there is none.
    """

    def __init__(self, path: Path, reason: str, *, position: int = 0, search_id: str = "", sequence: int = 0) -> None:
        good = (
            f"the last good record is position {position}, sequence {sequence} of search {search_id}"
            if position
            else "no record is known to be good"
        )
        reason = in_one_line(reason)
        super().__init__(
            f"the journal {path} is damaged: {reason}; {good}: "
            "restore the state folder from a backup, or see what 'nas-server doctor' can save"
        )
        self.path = path
        self.reason = reason
        self.position = position
        self.search_id = search_id
        self.sequence = sequence


class FutureVersionError(JournalError):
    """The journal's schema is newer than this server."""

    def __init__(self, path: Path, found: int, supported: int) -> None:
        super().__init__(
            f"the journal {path} has schema version {found}, this server knows versions up to {supported}: "
            "start a newer server"
        )
        self.path = path
        self.found = found
        self.supported = supported


class StateLockedError(JournalError):
    """Another process owns the state folder."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"the state folder {state_dir} is in use by another server: stop that one or choose another folder"
        )
        self.state_dir = state_dir
