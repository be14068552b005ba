# SPDX-License-Identifier: Apache-2.0
"""What server and worker say to each other: one JSON object a line, both directions.

Python writes floats so that reading them back gives the same bits.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from nas.child import ChildId, EpochResult, Evaluation
from nas.config import Device, InputShape, Precision, TrainingConfig
from nas.search import commands
from nas.search.facts import AttemptKind, FailureReason, LostReason, Runtime

MAX_LINE_BYTES = 1 << 20
"""Longer lines are not read: no worker writes one."""


class LineError(ValueError):
    """A line that no worker writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """Everything a worker needs to know; it asks nobody for more.

    Attributes:
        notation: the net.
        dataset, data_root, cache_dir, input_size: where the data comes from.
        fingerprint, split_fingerprint: what it must be; a worker refuses other data.
        totals: images a class in the part that is evaluated.
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
    search_seed: int
    threads: int
    dataset: str
    data_root: str | None
    cache_dir: str
    input_size: int
    train_limit: int
    shape: InputShape
    fingerprint: str
    split_fingerprint: str
    totals: tuple[int, ...]
    epochs_recorded: int
    best_epoch: int
    checkpoint_dir: str
    weights_path: str
    weights_sha256: str
    epoch_seconds: float


def encode_request(request: WorkerRequest) -> bytes:
    """One line."""
    return _line(asdict(request) | {"child_id": str(request.child_id)})


def decode_request(line: bytes) -> WorkerRequest:
    """Read what ``encode_request`` wrote.

    Raises:
        LineError: it is something else.
    """
    try:
        fields = json.loads(line)
        training = fields["training"]
        training |= {"device": Device(training["device"]), "precision": Precision(training["precision"])}
        fields |= {
            "kind": AttemptKind(fields["kind"]),
            "child_id": ChildId.parse(fields["child_id"]),
            "training": TrainingConfig(**training),
            "shape": InputShape(**fields["shape"]),
            "totals": tuple(fields["totals"]),
        }
        return WorkerRequest(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise LineError(f"no worker request: {error}") from error


def encode_report(report: commands.Report) -> bytes:
    """One line; child and attempt are left out, for the server knows whom it listens to."""
    fields = asdict(report)
    del fields["child_id"], fields["attempt"]
    return _line({"report": type(report).__name__, **fields})


def decode_report(line: bytes, child_id: ChildId, attempt: int) -> commands.Report:
    """Read what ``encode_report`` wrote.

    Raises:
        LineError: it is something else.
    """
    try:
        fields = json.loads(line)
        name = fields.pop("report")
        if name not in _REPORTS:
            raise LineError(f"no report is called {name!r:.40}")
        if "reason" in fields:
            fields["reason"] = _REASONS[name](fields["reason"])
        return _REPORTS[name](**_revive(fields), child_id=child_id, attempt=attempt)  # type: ignore[no-any-return]
    except LineError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LineError(f"no report: {error}") from error


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


def _revive(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the plain values that stand for records back into them."""
    if "runtime" in fields:
        runtime = fields["runtime"]
        versions = tuple((str(name), str(version)) for name, version in runtime.pop("versions"))
        device, precision = Device(runtime.pop("device")), Precision(runtime.pop("precision"))
        fields["runtime"] = Runtime(**runtime, device=device, precision=precision, versions=versions)
    if "result" in fields:
        result = fields["result"]
        fields["result"] = EpochResult(**result | {"validation": _evaluation(result["validation"])})
    if "evaluation" in fields:
        fields["evaluation"] = _evaluation(fields["evaluation"])
    return fields


def _evaluation(fields: dict[str, Any]) -> Evaluation:
    return Evaluation(loss=float(fields["loss"]), correct=tuple(fields["correct"]), total=tuple(fields["total"]))


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no JSON form")
