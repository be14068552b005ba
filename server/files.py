# SPDX-License-Identifier: Apache-2.0
"""The state folder: where everything lies that is not in the journal.

address                                   where the server of this folder listens, while it serves
journal.*                                 the journal's own files
cache/                                    data sets as tensors; may be deleted while the server is stopped
searches/<search>/weights/x-y.safetensors weights of children, as the journal's SHA-256 says
searches/<search>/checkpoints/x-y/        of children in training
searches/<search>/logs/x-y.<attempt>.log  what the worker of an attempt wrote to its standard error
searches/shared, cache/shared             written for workers on other machines, which check that they see them
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nas.child import ChildId


@dataclass(frozen=True, slots=True)
class StateFiles:
    """Paths below one state folder."""

    root: Path

    @property
    def address(self) -> Path:
        """Where the server of this folder listens."""
        return self.root / "address"

    @property
    def cache(self) -> Path:
        """Data sets as tensors."""
        return self.root / "cache"

    @property
    def marks(self) -> tuple[Path, ...]:
        """A file in each folder that workers on other machines have to see."""
        return (self.root / "searches" / "shared", self.cache / "shared")

    def weights(self, search_id: str, child_id: ChildId) -> Path:
        """The weights of a trained child."""
        return self._search(search_id) / "weights" / f"{child_id}.safetensors"

    def checkpoints(self, search_id: str, child_id: ChildId) -> Path:
        """The folder of a child in training."""
        return self._search(search_id) / "checkpoints" / str(child_id)

    def log(self, search_id: str, child_id: ChildId, attempt: int) -> Path:
        """The standard error of an attempt's worker."""
        return self._search(search_id) / "logs" / f"{child_id}.{attempt}.log"

    def remove(self, search_id: str) -> None:
        """Delete everything of a search; what is gone already is no error."""
        shutil.rmtree(self._search(search_id), ignore_errors=True)

    def free_bytes(self) -> int:
        """Free space for the state folder and the weights; the smaller one if they lie on two disks."""
        folders = (self.root, self.root / "searches")
        return min(shutil.disk_usage(folder).free for folder in folders if folder.is_dir())

    def prune(
        self, search_id: str, *, keep_weights: Collection[ChildId], keep_checkpoints: Collection[ChildId]
    ) -> None:
        """Delete the weights and checkpoints of all other children; what is gone already is no error."""
        weights = {str(child_id) for child_id in keep_weights}
        for path in (self._search(search_id) / "weights").glob("*.safetensors"):
            if path.stem not in weights:
                path.unlink(missing_ok=True)
        checkpoints = {str(child_id) for child_id in keep_checkpoints}
        for path in (self._search(search_id) / "checkpoints").glob("*-*"):
            if path.name not in checkpoints:
                shutil.rmtree(path, ignore_errors=True)

    def _search(self, search_id: str) -> Path:
        return self.root / "searches" / search_id
