# SPDX-License-Identifier: Apache-2.0
"""Attempts as processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from server.executor.attempts import ProcessExecutor
from server.executor.instructions import WorkerOptions
from server.executor.process import WORKER, WorkerProcess
from server.executor.workers import Worker
from server.files import StateFiles


class LocalWorkers:
    """Follows the contract of ``Workers`` on this machine."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    @property
    def name(self) -> str:
        """What ``--executor`` calls it."""
        return "local"

    async def spawn(self, log: Path) -> Worker:
        """Start a process."""
        return await WorkerProcess.spawn(*self._command, log=log)

    async def close(self) -> None:
        """Do nothing: nothing is held but the workers themselves."""


def local_executor(
    *, slots: int, files: StateFiles, options: WorkerOptions, command: Sequence[str] = WORKER
) -> ProcessExecutor:
    """Make an executor whose workers are processes of this machine, started by ``command``."""
    workers = LocalWorkers((*command, "--trainer", options.trainer))
    return ProcessExecutor(slots=slots, files=files, options=options, workers=workers)
