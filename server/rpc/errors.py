# SPDX-License-Identifier: Apache-2.0
"""The catalogue that gives each error its gRPC status, its machine-readable reason and its public text.

The text of an error listed here is written for users and sent as it is; the text of any other error stays in the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from nas.settings import ConfigError
from server.codec.enums import CodecError
from server.engine.errors import (
    ChildNotFoundError,
    FileMissingError,
    InvalidSettingError,
    NothingTrainedError,
    RequestIdReusedError,
    SearchDeletedError,
    SearchEndedError,
    SearchNotEndedError,
    SearchNotFoundError,
    ShuttingDownError,
    WeightsDamagedError,
)
from server.executor.preparation import DataError
from server.hub import HubClosedError, SequenceAheadError
from server.journal.base import JournalClosedError, JournalDamagedError, JournalFailedError, JournalFullError

DOMAIN = "nas"


class InvalidRequestError(Exception):
    """A request that cannot be understood; ``reason`` is upper snake case for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AccessError(Exception):
    """A call that is refused; the message is for the caller."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UnauthenticatedError(AccessError):
    """The caller has not proved who it is."""


class NotPermittedError(AccessError):
    """The caller may not do this."""


class QuotaError(AccessError):
    """The caller has too many streams open, or makes too many starts per minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicError:
    """What a client is told."""

    code: int
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


CATALOGUE: dict[type[Exception], tuple[int, str]] = {
    SearchNotFoundError: (code_pb2.NOT_FOUND, "SEARCH_NOT_FOUND"),
    ChildNotFoundError: (code_pb2.NOT_FOUND, "CHILD_NOT_FOUND"),
    SearchEndedError: (code_pb2.FAILED_PRECONDITION, "SEARCH_ENDED"),
    SearchNotEndedError: (code_pb2.FAILED_PRECONDITION, "SEARCH_NOT_ENDED"),
    SearchDeletedError: (code_pb2.FAILED_PRECONDITION, "SEARCH_DELETED"),
    NothingTrainedError: (code_pb2.FAILED_PRECONDITION, "NOTHING_TRAINED"),
    FileMissingError: (code_pb2.NOT_FOUND, "FILE_MISSING"),
    WeightsDamagedError: (code_pb2.DATA_LOSS, "WEIGHTS_DAMAGED"),
    RequestIdReusedError: (code_pb2.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    ShuttingDownError: (code_pb2.UNAVAILABLE, "SHUTTING_DOWN"),
    SequenceAheadError: (code_pb2.OUT_OF_RANGE, "SEQUENCE_AHEAD"),
    HubClosedError: (code_pb2.UNAVAILABLE, "SHUTTING_DOWN"),
    UnauthenticatedError: (code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED"),
    NotPermittedError: (code_pb2.PERMISSION_DENIED, "NOT_PERMITTED"),
    QuotaError: (code_pb2.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"),
    ConfigError: (code_pb2.INVALID_ARGUMENT, "INVALID_CONFIG"),
    CodecError: (code_pb2.INVALID_ARGUMENT, "INVALID_CONFIG"),
}
"""Errors that have the same status and reason wherever they come from."""

_DATA: dict[str, tuple[int, str]] = {
    "UnknownDatasetError": (code_pb2.INVALID_ARGUMENT, "UNKNOWN_DATASET"),
    "MissingDataRootError": (code_pb2.FAILED_PRECONDITION, "DATA_MISSING"),
    "MissingFilesError": (code_pb2.FAILED_PRECONDITION, "DATA_MISSING"),
    "CorruptFileError": (code_pb2.FAILED_PRECONDITION, "DATA_CORRUPT"),
    "CacheError": (code_pb2.FAILED_PRECONDITION, "DATA_CORRUPT"),
    "SplitError": (code_pb2.FAILED_PRECONDITION, "DATA_TOO_SMALL"),
    "LeakError": (code_pb2.FAILED_PRECONDITION, "DATA_LEAKS"),
    "DownloadError": (code_pb2.FAILED_PRECONDITION, "DOWNLOAD_FAILED"),
    "PathOutsideError": (code_pb2.PERMISSION_DENIED, "PATH_OUTSIDE_DATA_ROOT"),
    "MissingFolderError": (code_pb2.FAILED_PRECONDITION, "DATA_MISSING"),
    "FolderError": (code_pb2.FAILED_PRECONDITION, "DATA_UNUSABLE"),
    "EmptyFolderError": (code_pb2.FAILED_PRECONDITION, "DATA_UNUSABLE"),
    "OneClassError": (code_pb2.FAILED_PRECONDITION, "DATA_UNUSABLE"),
    "UnreadableImagesError": (code_pb2.FAILED_PRECONDITION, "DATA_CORRUPT"),
}

_JOURNAL: dict[type[Exception], tuple[int, str, str]] = {
    JournalFullError: (
        code_pb2.RESOURCE_EXHAUSTED,
        "DISK_FULL",
        "the server's disk is full, so nothing was started; make room and try again",
    ),
    JournalFailedError: (
        code_pb2.UNAVAILABLE,
        "JOURNAL_FAILED",
        "the server's disk failed, so the server is ending; its log says more, and what was acknowledged is safe",
    ),
    JournalClosedError: (
        code_pb2.UNAVAILABLE,
        "SHUTTING_DOWN",
        "the server is shutting down; try again in a moment",
    ),
    JournalDamagedError: (
        code_pb2.DATA_LOSS,
        "JOURNAL_DAMAGED",
        "records are gone from the server's journal; its log says more, do not start another server on its folder",
    ),
}
"""Errors whose own text names files of the server, and the text that is sent instead."""


def to_public(error: Exception) -> PublicError | None:
    """Return what a client is told; None for an error that is our fault."""
    match error:
        case InvalidRequestError(reason=reason) | InvalidSettingError(reason=reason):
            return PublicError(
                code=code_pb2.INVALID_ARGUMENT, reason=reason, message=str(error), metadata=_metadata(error)
            )
        case DataError(kind=kind) if kind in _DATA:
            code, reason = _DATA[kind]
            return PublicError(code=code, reason=reason, message=str(error))
        case _ if type(error) in _JOURNAL:
            code, reason, message = _JOURNAL[type(error)]
            return PublicError(code=code, reason=reason, message=message)
        case _ if type(error) in CATALOGUE:
            code, reason = CATALOGUE[type(error)]
            return PublicError(code=code, reason=reason, message=str(error), metadata=_metadata(error))
        case _:
            return None


def _metadata(error: Exception) -> dict[str, str]:
    """The numbers that a client needs to go on."""
    match error:
        case HubClosedError(last_sequence=sequence):
            return {"last_sequence": str(sequence)}
        case SequenceAheadError(head=head):
            return {"head": str(head)}
        case ConfigError(field=name) | CodecError(field=name) | InvalidSettingError(field=name):
            return {"field": name}
        case _:
            return {}


def to_status(error: PublicError) -> grpc.Status:
    """The rich status with its ErrorInfo."""
    info = AnyMessage()
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    status: grpc.Status = rpc_status.to_status(
        status_pb2.Status(code=error.code, message=error.message, details=[info])
    )
    return status
