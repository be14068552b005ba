# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which an attempt continues bit for bit, or which are not used at all.

A checkpoint is two files: ``epoch-0003.safetensors`` holds every tensor; ``epoch-0003.jsonl``, written last, has one
line with the history and the SHA-256 of the tensors, and one with the SHA-256 of that line. Nothing is ever unpickled.
A checkpoint in the middle of the fourth epoch is called ``epoch-0003-step-00000012``. The newest two are kept: if the
newest is damaged the older one is used, and if both are damaged the training starts again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from nas.child import EpochResult, Evaluation
from nas.durable import TEMPORARY_SUFFIX, sync_folder, write_durably
from nas.training.weights import Tensors, serialise_tensors

_KEPT = 2
_NAME = re.compile(r"epoch-([0-9]+)(?:-step-([0-9]+))?")
_LARGEST_META_BYTES = 64 * 1024 * 1024
"""Enough for 10,000 epochs of 100 classes; a larger file is no checkpoint."""

Position = tuple[int, int]
"""Number of whole epochs, and of steps in the epoch after them; a later position of a training compares as greater."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A training between two steps.

    Attributes:
        history: every whole epoch so far.
        groups: tensors by what they are (weights, best weights, optimizer state) and by their name.
        steps: done in the epoch after ``history``; 0 between two epochs.
        seconds: time that these steps took.
    """

    history: tuple[EpochResult, ...]
    groups: dict[str, Tensors]
    steps: int = 0
    seconds: float = 0.0

    @property
    def position(self) -> Position:
        """How far the training has got."""
        return len(self.history), self.steps


def save_checkpoint(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint durably, then drop all but the newest two.

    Raises:
        OSError: the disk is full or the folder is not writable.
    """
    position = checkpoint.position
    tensors = serialise_tensors(
        {f"{group}/{name}": tensor for group, named in checkpoint.groups.items() for name, tensor in named.items()}
    )
    body = {
        "fingerprint": fingerprint,
        "history": [asdict(result) for result in checkpoint.history],
        "steps": checkpoint.steps,
        "seconds": checkpoint.seconds,
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    write_durably(_tensors_path(folder, position), tensors)
    # Python prints a float as the shortest text that reads back as the same one, so the history survives exactly.
    write_durably(_meta_path(folder, position), _seal(json.dumps(body, sort_keys=True, allow_nan=False).encode()))
    for old in list_positions(folder)[_KEPT:]:
        _delete(folder, old)


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Read the newest undamaged checkpoint with this fingerprint, or None.

    Newer files are damaged or belong to another training, and are deleted.
    """
    found = None
    for position in list_positions(folder):
        found = _read(folder, position, fingerprint)
        if found is not None:
            break
        _delete(folder, position)
    for leftover in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        leftover.unlink()
    return found


def find_checkpoint(folder: Path, fingerprint: str) -> Position | None:
    """Return the position of the checkpoint that ``load_checkpoint`` would read, or None; deletes nothing."""
    found = (_read(folder, position, fingerprint) for position in list_positions(folder))
    return next((checkpoint.position for checkpoint in found if checkpoint is not None), None)


def list_positions(folder: Path) -> list[Position]:
    """List the positions for which either file exists, damaged or not, the newest first."""
    names = [_NAME.fullmatch(path.stem) for path in folder.glob("epoch-*.*")]
    return sorted({(int(name[1]), int(name[2] or 0)) for name in names if name is not None}, reverse=True)


def _tensors_path(folder: Path, position: Position) -> Path:
    return folder / f"{_stem(position)}.safetensors"


def _meta_path(folder: Path, position: Position) -> Path:
    return folder / f"{_stem(position)}.jsonl"


def _stem(position: Position) -> str:
    epochs, steps = position
    return f"epoch-{epochs:04d}-step-{steps:08d}" if steps else f"epoch-{epochs:04d}"


def _delete(folder: Path, position: Position) -> None:
    """Delete the history first: without it the tensors are not read."""
    for path in (_meta_path(folder, position), _tensors_path(folder, position)):
        path.unlink(missing_ok=True)
    sync_folder(folder)


def _read(folder: Path, position: Position, fingerprint: str) -> Checkpoint | None:
    """Read one checkpoint, or None if it is damaged or belongs to another training."""
    body = _read_meta(folder, position)
    if body is None or body["fingerprint"] != fingerprint:
        return None
    tensors = _read_tensors(folder, position, body)
    if tensors is None:
        return None
    return Checkpoint(
        history=_decode_history(body), groups=_ungroup(tensors), steps=body["steps"], seconds=body["seconds"]
    )


def _seal(line: bytes) -> bytes:
    """Add a line with the SHA-256 of the first one, so that a changed bit is found."""
    return line + b"\n" + json.dumps({"sha256": hashlib.sha256(line).hexdigest()}).encode() + b"\n"


def _read_meta(folder: Path, position: Position) -> dict[str, Any] | None:
    path = _meta_path(folder, position)
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


def _read_tensors(folder: Path, position: Position, body: dict[str, Any]) -> Tensors | None:
    try:
        content = _tensors_path(folder, position).read_bytes()
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
