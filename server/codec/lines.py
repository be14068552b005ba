# SPDX-License-Identifier: Apache-2.0
"""What server and worker say to each other: one JSON object a line, both directions.

Python writes floats so that reading them back gives the same bits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from itertools import chain
from typing import Any

from nas.assessment import Assessment
from nas.child import ChildId, EpochResult, Evaluation
from nas.config import Device, Imbalance, InputShape, Precision, TrainingConfig
from nas.search import commands
from nas.search.facts import AttemptKind, FailureReason, LostReason, Runtime
from server.codec import assessments
from server.codec.preparing import DataRequest

PULSE = b"{}\n"
"""A sign of progress between two reports."""

_CHECKPOINT = b'{"checkpoint_seconds":'
"""Begins a line that says how long a checkpoint took; a sign of progress, too, and never journaled."""

STOP = b'{"stop":true}\n'
"""After the request: the worker is to keep what it has and leave."""

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
class Rival:
    """A trained net beside the winner; all fields are as in ``WorkerRequest``."""

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
        notation: the net.
        data: what it learns from; its seed is that of the search.
        fingerprint, split_fingerprint: what the data must be; a worker refuses others.
        totals: images a class in the part that is evaluated.
        commonest: the class with most training images.
        rivals: nets that a test evaluation measures together with the winner.
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
    rivals: tuple[Rival, ...]
    epochs_recorded: int
    best_epoch: int
    checkpoint_dir: str
    weights_path: str
    weights_sha256: str
    epoch_seconds: float


def encode_request(request: WorkerRequest) -> bytes:
    """One line."""
    rivals = [asdict(rival) | {"child_id": str(rival.child_id)} for rival in request.rivals]
    return _line(asdict(request) | {"child_id": str(request.child_id), "rivals": rivals})


def decode_request(line: bytes) -> WorkerRequest:
    """Read what ``encode_request`` wrote.

    Raises:
        LineError: it is something else.
    """
    try:
        content = json.loads(line)
        training = content["training"]
        training |= {
            "device": Device(training["device"]),
            "precision": Precision(training["precision"]),
            "imbalance": Imbalance(training["imbalance"]),
        }
        content |= {
            "kind": AttemptKind(content["kind"]),
            "child_id": ChildId.parse(content["child_id"]),
            "training": TrainingConfig(**training),
            "data": DataRequest(**content["data"]),
            "shape": InputShape(**content["shape"]),
            "totals": tuple(content["totals"]),
            "rivals": tuple(
                Rival(**rival | {"child_id": ChildId.parse(rival["child_id"])}) for rival in content["rivals"]
            ),
        }
        return WorkerRequest(**content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
    content = asdict(report)
    del content["child_id"], content["attempt"]
    if isinstance(report, commands.ReportEvaluated):
        content |= assessments.to_plain(report.assessment, report.others)
    return _line({"report": type(report).__name__, **content})


def decode_report(line: bytes, child_id: ChildId, attempt: int) -> commands.Report:
    """Read what ``encode_report`` wrote.

    Raises:
        LineError: it is something else.
    """
    try:
        content = json.loads(line)
        name = content.pop("report")
        if name not in _REPORTS:
            raise LineError(f"no report is called {name!r:.40}")
        if "reason" in content:
            content["reason"] = _REASONS[name](content["reason"])
        report: commands.Report = _REPORTS[name](**_revive(content), child_id=child_id, attempt=attempt)
        _require_types(report)
    except LineError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LineError(f"no report: {error}") from error
    return report


_REPORTS: dict[str, Any] = {
    report.__name__: report
    for report in (
        commands.ReportStarted,
        commands.ReportEpoch,
        commands.ReportTrained,
        commands.ReportEvaluated,
        commands.ReportFailed,
        commands.ReportLost,
    )
}


_REASONS: dict[str, Any] = {"ReportFailed": FailureReason, "ReportLost": LostReason}


def _revive(content: dict[str, Any]) -> dict[str, Any]:
    """Turn the plain values that stand for records back into them."""
    if "runtime" in content:
        runtime = content["runtime"]
        versions = tuple(sorted(dict(runtime.pop("versions")).items()))
        device, precision = Device(runtime.pop("device")), Precision(runtime.pop("precision"))
        content["runtime"] = Runtime(**runtime, device=device, precision=precision, versions=versions)
    if "result" in content:
        result = content["result"]
        content["result"] = EpochResult(**result | {"validation": _evaluation(result["validation"])})
    if "evaluation" in content:
        content["evaluation"] = _evaluation(content["evaluation"])
    if "others" in content:
        content |= assessments.from_plain(content)
    if "detail" in content:
        content["detail"] = one_line(content["detail"])
    return content


def _evaluation(content: dict[str, Any]) -> Evaluation:
    correct, total = tuple(content.pop("correct")), tuple(content.pop("total"))
    if not all(_is_count(count) for count in (*correct, *total)):
        raise ValueError("a count is a whole number of images")
    return Evaluation(**content, correct=correct, total=total)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_text(value: object) -> bool:
    # The wire takes no lone surrogates, which JSON can write.
    return isinstance(value, str) and len(value) <= _MAX_TEXT_CHARACTERS and one_line(value, len(value)) == value


_IS_VALID: dict[str, Callable[[object], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    "float": lambda value: isinstance(value, float),
    "int": lambda value: type(value) is int and 0 <= value < 1 << 31,
    "str": _is_text,
    "tuple[tuple[str, str], ...]": lambda value: isinstance(value, tuple) and all(map(_is_text, chain(*value))),
}
"""By the annotation of a field: what can be journaled there."""


def _require_types(record: Any) -> None:
    """Refuse what JSON can say but no journal can hold: the server writes what a worker reports."""
    for field in fields(record):
        value = getattr(record, field.name)
        is_valid = _IS_VALID.get(str(field.type))  # records and enums were checked when they were made
        if isinstance(value, Assessment):
            continue  # the schema has checked it
        if is_dataclass(value):
            _require_types(value)
        elif is_valid is not None and not is_valid(value):
            raise ValueError(f"{field.name} cannot be {value!r:.80}")


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no JSON form")
