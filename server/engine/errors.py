# SPDX-License-Identifier: Apache-2.0
"""What can be refused, without a word about transport.

EngineError
├── SearchNotFoundError
├── ChildNotFoundError
├── SearchEndedError
├── SearchNotEndedError
├── SearchDeletedError
├── NothingTrainedError
├── FileMissingError
├── WeightsDamagedError
├── RequestIdReusedError
├── InvalidSettingError
└── ShuttingDownError
"""

from __future__ import annotations

from nas.child import ChildId


class EngineError(Exception):
    """The root of this package's errors."""


class SearchNotFoundError(EngineError):
    """No search has this id."""

    def __init__(self, search_id: str) -> None:
        super().__init__(f"there is no search {search_id}; 'nas-client list' shows those there are")
        self.search_id = search_id


class ChildNotFoundError(EngineError):
    """The search has no such child."""

    def __init__(self, search_id: str, child_id: ChildId) -> None:
        super().__init__(
            f"search {search_id} has no child {child_id}; 'nas-client children {search_id}' shows those it has"
        )
        self.search_id = search_id
        self.child_id = child_id


class SearchEndedError(EngineError):
    """The search has ended, so nothing can be asked of it."""

    def __init__(self, search_id: str, state: str) -> None:
        super().__init__(f"search {search_id} has {state} already; 'nas-client get {search_id}' shows the result")
        self.search_id = search_id


class SearchNotEndedError(EngineError):
    """The search has not ended, so it cannot be deleted."""

    def __init__(self, search_id: str, state: str) -> None:
        super().__init__(f"search {search_id} is {state}; 'nas-client cancel {search_id}' ends it")
        self.search_id = search_id


class SearchDeletedError(EngineError):
    """The search that a request id stands for is gone."""

    def __init__(self, request_id: str, search_id: str) -> None:
        super().__init__(
            f"request id {request_id} has started search {search_id}, which was deleted; use a new request id"
        )
        self.request_id = request_id
        self.search_id = search_id


class NothingTrainedError(EngineError):
    """No child has been trained, so there is nothing to export."""

    def __init__(self, search_id: str) -> None:
        super().__init__(f"search {search_id} has no trained child; 'nas-client get {search_id}' shows how far it is")
        self.search_id = search_id


class FileMissingError(EngineError):
    """A file of a child is not there: it was never written, or it was not kept."""

    def __init__(self, search_id: str, child_id: ChildId, what: str) -> None:
        super().__init__(
            f"there is no {what} of child {child_id} of search {search_id}; "
            f"'nas-client children {search_id} {child_id}' shows what is known of it"
        )
        self.search_id = search_id
        self.child_id = child_id


class WeightsDamagedError(EngineError):
    """A weights file is not what the journal says."""

    def __init__(self, search_id: str, child_id: ChildId) -> None:
        super().__init__(
            f"the weights of child {child_id} of search {search_id} have changed since they were written; "
            "'nas-server doctor' examines the folder of a stopped server"
        )
        self.search_id = search_id
        self.child_id = child_id


class RequestIdReusedError(EngineError):
    """A request id stands for one config only."""

    def __init__(self, request_id: str, search_id: str) -> None:
        super().__init__(
            f"request id {request_id} has started search {search_id} with other settings; use a new request id"
        )
        self.request_id = request_id
        self.search_id = search_id


class InvalidSettingError(EngineError):
    """A setting cannot be used; ``reason`` is upper snake case for machines."""

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


class ShuttingDownError(EngineError):
    """The server is about to end."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down; try again in a moment")
