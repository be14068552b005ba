# SPDX-License-Identifier: Apache-2.0
"""Requests for attempts, as the engine hands them to an executor, and a listener that keeps every report."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.architecture import Architecture
from nas.blocks import BlockType
from nas.canonical import graph_hash
from nas.child import ChildId
from nas.config import Device, InputShape, Precision, SearchConfig, TrainingConfig
from nas.layers import Flatten, Linear
from nas.search import commands
from nas.search.conditions import DatasetSummary, PartCounts, Resources
from nas.search.reasons import AttemptKind
from server.executor.base import OUTCOMES, AttemptKey, AttemptRequest

SEARCH_ID = "3f2a9c01b7de"
DATASET = DatasetSummary(
    shape=InputShape(channels=1, height=28, width=28),
    class_names=tuple("0123456789"),
    counts=PartCounts(train=(8,) * 10, validation=(4,) * 10, test=(5,) * 10),
    fingerprint="0" * 64,
    split_fingerprint="1" * 64,
)
NET = Architecture((Flatten(), Linear(outputs=10)))
_DEADLINE_SECONDS = 100.0


def make_request(child: str = "1-1", attempt: int = 1, **changes: Any) -> AttemptRequest:
    """Request a training of two epochs from its first epoch on; ``changes`` replaces fields."""
    config = changes.get("config") or SearchConfig(
        dataset="digits",
        block=BlockType.INCEPTION,
        seed=5,
        training=TrainingConfig(max_epochs=2, device=Device.CPU, precision=Precision.FP32),
    )
    fields: dict[str, Any] = {
        "kind": AttemptKind.TRAINING,
        "architecture": NET,
        "graph_hash": graph_hash(NET),
        "config": config,
        "training": config.training,
        "dataset": DATASET,
        "resources": Resources(threads=1, memory_limit_bytes=1 << 30),
        "epochs_recorded": 0,
        "best_epoch": 0,
        "weights_sha256": "",
    }
    key = AttemptKey(search_id=SEARCH_ID, child_id=ChildId.parse(child), attempt=attempt)
    return AttemptRequest(key=key, **fields | changes)


@dataclass(slots=True)
class Listener:
    """Keeps every report in its order; pass ``hear`` as ``on_report``."""

    heard: list[tuple[AttemptKey, commands.Report]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, key: AttemptKey, report: commands.Report) -> None:
        """Take a report."""
        self.heard.append((key, report))
        self._changed.set()

    def of(self, request: AttemptRequest) -> list[commands.Report]:
        """What one attempt reported."""
        return [report for key, report in self.heard if key == request.key]

    async def report(self, request: AttemptRequest, *kinds: type[commands.Report]) -> Any:
        """Wait for the first report of one of these kinds."""
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while True:
                for report in self.of(request):
                    if isinstance(report, kinds):
                        return report
                self._changed.clear()
                await self._changed.wait()

    async def outcome(self, request: AttemptRequest) -> Any:
        """Wait for the outcome."""
        return await self.report(request, *OUTCOMES)


def worker_pids() -> set[int]:
    """Living processes that this one has started as workers."""
    return {int(process.name) for process in Path("/proc").glob("[0-9]*") if b"--trainer" in _words_of_child(process)}


def _words_of_child(process: Path) -> list[bytes]:
    """The words that a living child of this process runs with; for a moment after its start there are none to read."""
    try:
        while True:
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) != os.getpid() or state == "Z":
                return []
            if command := (process / "cmdline").read_bytes():
                return command.split(b"\0")
    except OSError:
        return []
