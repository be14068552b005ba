# SPDX-License-Identifier: Apache-2.0
"""Pause, resume, cancel and delete: when each is allowed, and which event follows."""

from __future__ import annotations

from nas.search import commands, events
from nas.search.progress import History
from nas.search.state import Search, SearchState

_AT_WORK = (SearchState.RUNNING, SearchState.PAUSING)
_TOO_LATE = {
    SearchState.CANCELLING: "is being cancelled",
    SearchState.SUCCEEDED: "has succeeded already",
    SearchState.FAILED: "has failed already",
    SearchState.CANCELLED: "has been cancelled already",
    SearchState.DELETED: "has been deleted",
}


class RejectedError(Exception):
    """A command that the state of the search does not allow; nothing has changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def control(history: History, search: Search, command: commands.Control) -> None:
    """Record what follows from such a command; asking twice is the same as asking once.

    Raises:
        RejectedError: the state does not allow it.
    """
    state = search.state
    match command:
        case commands.CancelSearch() if state in (*_AT_WORK, SearchState.PAUSED):
            history.record(events.CancelRequested(principal=command.principal))
        case commands.CancelSearch() if state in (SearchState.CANCELLING, SearchState.CANCELLED):
            pass
        case commands.PauseSearch() if state is SearchState.RUNNING:
            history.record(events.PauseRequested(principal=command.principal))
        case commands.PauseSearch() if state in (SearchState.PAUSING, SearchState.PAUSED):
            pass
        case commands.ResumeSearch() if state in (SearchState.PAUSING, SearchState.PAUSED):
            history.record(events.SearchResumed(principal=command.principal))
        case commands.ResumeSearch() if state is SearchState.RUNNING:
            pass
        case commands.DeleteSearch() if state is SearchState.DELETED:
            pass
        case commands.DeleteSearch() if state.is_terminal:
            history.record(events.SearchDeleted(principal=command.principal))
        case commands.DeleteSearch():
            raise RejectedError(f"the search is {state.value}; cancel it before you delete it")
        case _:
            raise RejectedError(f"the search {_TOO_LATE[state]}")
