# SPDX-License-Identifier: Apache-2.0
"""Faults that the simulated trainer commits on request: a real process that fails in every way a training can.

NAS_SIMULATED_FAULTS  JSON object; for each child id a list with one entry an attempt, [FAULT, EPOCH] or null
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import replace

from nas.child import ChildId, EpochResult

VARIABLE = "NAS_SIMULATED_FAULTS"

_IMPOSSIBLE_EPOCH = 9_999


def _raise() -> None:
    raise RuntimeError("a bug that was planned")


def _run_out_of_memory() -> None:
    raise MemoryError


def _say(line: bytes) -> None:
    """Write to whatever this process reports through: the one pipe that it can write to."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            descriptor = int(name)
            is_writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if is_writable and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, line)


def _break_off() -> None:
    _say(b'{"report":"ReportEpoch","resu')
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str, Callable[[], None]] = {
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sigsegv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "sigabrt": os.abort,
    "exit_0": lambda: os._exit(0),
    "exit_1": lambda: os._exit(1),
    "exception": _raise,
    "garbage": lambda: _say(b"\x00\xff this is no report\n"),
    "truncated": _break_off,
    "hang": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "out_of_memory": _run_out_of_memory,
}
"""What a fault does to the process."""

RESULTS: dict[str, Callable[[EpochResult], EpochResult]] = {
    "nan": lambda result: replace(result, training_loss=math.nan),
    "impossible": lambda result: replace(result, epoch=_IMPOSSIBLE_EPOCH),
}
"""What a fault makes of the epoch's result."""


def commit_fault(child_id: ChildId, attempt: int, result: EpochResult) -> EpochResult:
    """Commit what is planned for this epoch of this attempt, and return the result as it is to be reported."""
    planned = json.loads(os.environ.get(VARIABLE, "{}")).get(str(child_id), [])
    fault = planned[attempt - 1] if attempt <= len(planned) else None
    if fault is None or fault[1] != result.epoch:
        return result
    name = fault[0]
    if name in RESULTS:
        return RESULTS[name](result)
    FAULTS[name]()
    return result
