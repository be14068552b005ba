# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which an attempt continues bit for bit, or which are not used at all.

A checkpoint is two files: ``epoch-0003.safetensors`` holds every tensor; ``epoch-0003.jsonl``, written last, has one
line with the history and the SHA-256 of the tensors, and one with the SHA-256 of that line. Nothing is ever unpickled.
The newest two are kept: if the newest is damaged the older one serves, and if both are, the training starts again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from nas.child import EpochResult, Evaluation
from nas.training.durable import TEMPORARY_SUFFIX, sync_folder, write_durably
from nas.training.weights import Tensors, serialise_tensors

_KEPT = 2
_LARGEST_META_BYTES = 64 * 1024 * 1024
"""Room for 10,000 epochs of 100 classes; a larger file is not one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A training after a whole epoch.

    Attributes:
        history: every epoch so far, the last one included.
        groups: tensors by what they are (weights, best weights, optimizer state) and by the weight's name.
    """

    history: tuple[EpochResult, ...]
    groups: dict[str, Tensors]


def save_checkpoint(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint durably, then drop all but the newest two.

    Raises:
        OSError: the disk is full or the folder is not writable.
    """
    epoch = checkpoint.history[-1].epoch
    tensors = serialise_tensors(
        {f"{group}/{name}": tensor for group, named in checkpoint.groups.items() for name, tensor in named.items()}
    )
    body = {
        "fingerprint": fingerprint,
        "history": [asdict(result) for result in checkpoint.history],
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    write_durably(_tensors_path(folder, epoch), tensors)
    # Python prints a float as the shortest text that reads back as the same one, so the history survives exactly.
    write_durably(_meta_path(folder, epoch), _seal(json.dumps(body, sort_keys=True, allow_nan=False).encode()))
    for old in _list_epochs(folder)[_KEPT:]:
        _delete(folder, old)


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Read the newest sound checkpoint of this very training, or None.

    Files that are newer than it are damaged or of another training, and are deleted.
    """
    found = None
    for epoch in _list_epochs(folder):
        body = _read_meta(folder, epoch)
        tensors = _read_tensors(folder, epoch, body) if body and body["fingerprint"] == fingerprint else None
        if body and tensors is not None:
            found = Checkpoint(history=_decode_history(body), groups=_ungroup(tensors))
            break
        _delete(folder, epoch)
    for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        leftover.unlink()
    return found


def latest_checkpoint_epoch(checkpoint_dir: Path) -> int:
    """Tell after which epoch the newest sound checkpoint was written, 0 if there is none; reads, deletes nothing.

    Whether ``fit`` continues from it also depends on the fingerprint of its request.
    """
    for epoch in _list_epochs(checkpoint_dir):
        body = _read_meta(checkpoint_dir, epoch)
        if body and _read_tensors(checkpoint_dir, epoch, body) is not None:
            return epoch
    return 0


def _tensors_path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04d}.safetensors"


def _meta_path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04d}.jsonl"


def _list_epochs(folder: Path) -> list[int]:
    """List the epochs that have either file, the newest first."""
    numbers = {path.stem.removeprefix("epoch-") for path in folder.glob("epoch-*.*")}
    return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)


def _delete(folder: Path, epoch: int) -> None:
    """Take away the history first: without it the tensors mean nothing."""
    for path in (_meta_path(folder, epoch), _tensors_path(folder, epoch)):
        path.unlink(missing_ok=True)
    sync_folder(folder)


def _seal(line: bytes) -> bytes:
    """Add the line that gives a changed bit away."""
    return line + b"\n" + json.dumps({"sha256": hashlib.sha256(line).hexdigest()}).encode() + b"\n"


def _read_meta(folder: Path, epoch: int) -> dict[str, Any] | None:
    path = _meta_path(folder, epoch)
    try:
        if path.stat().st_size > _LARGEST_META_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    line = content.partition(b"\n")[0]
    if content != _seal(line):
        return None
    body: dict[str, Any] = json.loads(line)
    return body


def _read_tensors(folder: Path, epoch: int, body: dict[str, Any]) -> Tensors | None:
    try:
        content = _tensors_path(folder, epoch).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != body["tensors_sha256"]:
        return None
    tensors: Tensors = safetensors.torch.load(content)
    return tensors


def _decode_history(body: dict[str, Any]) -> tuple[EpochResult, ...]:
    return tuple(EpochResult(**{**row, "validation": _decode_evaluation(row["validation"])}) for row in body["history"])


def _decode_evaluation(row: dict[str, Any]) -> Evaluation:
    return Evaluation(loss=row["loss"], correct=tuple(row["correct"]), total=tuple(row["total"]))


def _ungroup(tensors: Tensors) -> dict[str, Tensors]:
    groups: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return groups
