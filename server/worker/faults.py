# SPDX-License-Identifier: Apache-2.0
"""Faults that the simulated trainer commits on request, in a real process, in every way that a training can fail.

NAS_SIMULATED_FAULTS  JSON object; for each child id a list with one entry per attempt, [FAULT, EPOCH] or null
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
    """Write to the pipe of reports, the only pipe that this process can write to."""
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
"""Faults of the process, by name."""

RESULTS: dict[str, Callable[[EpochResult], EpochResult]] = {
    "nan": lambda result: replace(result, training_loss=math.nan),
    "impossible": lambda result: replace(result, epoch=_IMPOSSIBLE_EPOCH),
}
"""Faults of the reported result, by name."""


def commit_fault(child_id: ChildId, attempt: int, result: EpochResult) -> EpochResult:
    """Commit the fault that is planned for this epoch of this attempt, if any; return the result to report."""
    planned = json.loads(os.environ.get(VARIABLE, "{}")).get(str(child_id), [])
    fault = planned[attempt - 1] if attempt <= len(planned) else None
    if fault is None or fault[1] != result.epoch:
        return result
    name = fault[0]
    if name in RESULTS:
        return RESULTS[name](result)
    FAULTS[name]()
    return result
