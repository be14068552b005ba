# SPDX-License-Identifier: Apache-2.0
"""What ends a command early: one sentence for a person and one exit status for a script.

::

    ClientError           the sentence, the status, and what the server called it
    └── ServerError       a call that failed, with its gRPC status and machine-readable reason
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The documented exit statuses; they never change."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    SEARCH_FAILED = 4
    UNAVAILABLE = 5
    NOT_PERMITTED = 6
    INTERRUPTED = 130


EXIT_MEANINGS = {
    Exit.OK: "done; a watched search succeeded",
    Exit.UNEXPECTED: "something unexpected",
    Exit.USAGE: "wrong usage, or an invalid request",
    Exit.NOT_FOUND: "no such search or child",
    Exit.SEARCH_FAILED: "the watched search failed or was cancelled",
    Exit.UNAVAILABLE: "no server, or one that cannot serve now",
    Exit.NOT_PERMITTED: "not permitted",
    Exit.INTERRUPTED: "interrupted; a watched search goes on",
}
"""What every status says, for help and documentation."""


class ClientError(Exception):
    """A command cannot go on; the message is one sentence."""

    def __init__(self, message: str, exit_status: Exit) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class ServerError(ClientError):
    """A call failed.

    Attributes:
        status: name of the gRPC status, for example ``NOT_FOUND``.
        reason: the server's word for it, for example ``SEARCH_NOT_FOUND``; empty if something on the way answered.
    """

    def __init__(self, message: str, exit_status: Exit, *, status: str, reason: str) -> None:
        super().__init__(message, exit_status)
        self.status = status
        self.reason = reason


class OutputClosed(Exception):
    """Whoever read standard output is gone; nobody is left to be told."""
