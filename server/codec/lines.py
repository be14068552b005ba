# SPDX-License-Identifier: Apache-2.0
"""What server and worker say to each other: one JSON object per line, in both directions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from typing import Any, cast, get_args

from nas.child import ChildId
from nas.config import InputShape, TrainingConfig
from nas.search import commands
from nas.search.reasons import AttemptKind
from server.codec.plain import MOST_INT32, Limits, make_reader, write
from server.codec.preparing import DataRequest

PULSE = b"{}\n"
"""A sign of progress between two reports."""

_CHECKPOINT = b'{"checkpoint_seconds":'
"""Begins a line that says how long a checkpoint took: another sign of progress, which is never journaled."""

STOP = b'{"stop":true}\n'
"""After the request: the worker is to write its checkpoint and exit."""

MAX_LINE_BYTES = 1 << 20
"""Longer lines are not read: no worker writes one."""


MAX_DETAIL_CHARACTERS = 500
"""What people read of an error fits into this."""
_MAX_TEXT_CHARACTERS = 1000


class LineError(ValueError):
    """A line that no worker writes; the message is one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(one_line(reason))


def one_line(text: str, limit: int = MAX_DETAIL_CHARACTERS) -> str:
    """Make a text from outside fit for a log, an event or a terminal: no control characters, no end of lines."""
    return "".join(character if character.isprintable() else " " for character in text[:limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNet:
    """A trained net that a test evaluation measures beside the winner; all fields are as in ``WorkerRequest``."""

    child_id: ChildId
    notation: str
    graph_hash: str
    best_epoch: int
    weights_path: str
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """Everything a worker needs to know; it asks nobody for more.

    Attributes:
        notation: of the net.
        data: what the net is trained on; its seed is that of the search.
        fingerprint, split_fingerprint: what the data must be; a worker refuses any other.
        totals: images per class in the part that is evaluated.
        train_images: number of images in the training part, for the simulated trainer.
        commonest: the class with most training images.
        others: nets that a test evaluation measures beside the winner.
        epochs_recorded: epochs that the journal has already; they are not reported again.
        best_epoch: of the training, for the simulated trainer's test evaluation.
        checkpoint_dir, weights_path: below the state folder.
        weights_sha256: of the file at ``weights_path``, for a test evaluation.
        epoch_seconds: how long an epoch of the simulated trainer takes.
    """

    kind: AttemptKind
    child_id: ChildId
    attempt: int
    notation: str
    graph_hash: str
    training: TrainingConfig
    threads: int
    data: DataRequest
    shape: InputShape
    fingerprint: str
    split_fingerprint: str
    totals: tuple[int, ...]
    commonest: int
    others: tuple[TrainedNet, ...]
    epochs_recorded: int
    best_epoch: int
    checkpoint_dir: str
    weights_path: str
    weights_sha256: str
    epoch_seconds: float
    train_images: int = 0


def _is_journalable(text: str) -> bool:
    # The wire takes no lone surrogates, which JSON can write.
    return len(text) <= _MAX_TEXT_CHARACTERS and one_line(text, len(text)) == text


_UNREADABLE = (ValueError, TypeError, RecursionError)
_WHOSE = ("child_id", "attempt")
"""Left out of a report: the server knows which attempt it listens to."""
_LIMITS = Limits(most=MOST_INT32, is_text=_is_journalable)
"""The server writes into the journal what a worker reports, so a report may hold nothing that no event can hold."""
_read_request = make_reader(WorkerRequest, Limits())
_REPORTS = {report.__name__: make_reader(report, _LIMITS) for report in get_args(commands.Report)}


def encode_request(request: WorkerRequest) -> bytes:
    """One line."""
    return write(request) + b"\n"


def decode_request(line: bytes) -> WorkerRequest:
    """Read what ``encode_request`` wrote.

    Raises:
        LineError: it is something else.
    """
    try:
        return cast("WorkerRequest", _read_request(json.loads(line)))
    except _UNREADABLE as error:
        raise LineError(f"no worker request: {error}") from error


def encode_checkpoint(seconds: float) -> bytes:
    """One line that says how long a checkpoint took."""
    return b"%s%.6f}\n" % (_CHECKPOINT, seconds)


def decode_checkpoint(line: bytes) -> float | None:
    """Read what ``encode_checkpoint`` wrote; None for any other line.

    Raises:
        LineError: it begins like one.
    """
    if not line.startswith(_CHECKPOINT):
        return None
    match = re.fullmatch(rb"([0-9]{1,9}\.[0-9]{6})\}\n", line.removeprefix(_CHECKPOINT))
    if match is None:
        raise LineError("no checkpoint took that long")
    return float(match[1])


def encode_report(report: commands.Report) -> bytes:
    """One line; child and attempt are left out, for the server knows whom it listens to."""
    said = {field.name: getattr(report, field.name) for field in fields(report) if field.name not in _WHOSE}
    return write({"report": type(report).__name__, **said}) + b"\n"


def decode_report(line: bytes, child_id: ChildId, attempt: int) -> commands.Report:
    """Read what ``encode_report`` wrote. Details of an error are shortened and cleaned, not refused.

    Raises:
        LineError: it is something else.
    """
    try:
        content: dict[str, Any] = {**json.loads(line), "child_id": f"{child_id}", "attempt": attempt}
        name = content.pop("report", None)
        if name not in _REPORTS:
            raise LineError(f"no report is called {name!r:.40}")
        if isinstance(content.get("detail"), str):
            content["detail"] = one_line(content["detail"])
        return _sorted_versions(_REPORTS[name](content))
    except LineError:
        raise
    except _UNREADABLE as error:
        raise LineError(f"no report: {error}") from error


def _sorted_versions(report: commands.Report) -> commands.Report:
    """Bring the versions of the libraries into the order in which the journal keeps them, each once."""
    if not isinstance(report, commands.ReportStarted):
        return report
    versions = tuple(sorted(dict(report.runtime.versions).items()))
    return replace(report, runtime=replace(report.runtime, versions=versions))
