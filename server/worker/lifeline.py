# SPDX-License-Identifier: Apache-2.0
"""A worker dies with its server, for three reasons: the kernel's signal, its parent's id, the end of its input."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO

from server.codec.lines import STOP

PARENT_VARIABLE = "NAS_WORKER_PARENT"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies; leave at once if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    expected = os.environ.get(PARENT_VARIABLE)
    if expected is not None and os.getppid() != int(expected):  # it died before the kernel was asked
        os._exit(0)


def leave_at_end_of(stream: BinaryIO, stop: threading.Event) -> None:
    """Exit when nobody holds the other end of ``stream`` any more; works where the kernel's signal does not.

    Until then ``stop`` is set when the server asks for it.
    """

    def watch() -> None:
        for line in stream:
            if line == STOP:
                stop.set()
        os._exit(0)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def claim_stdout() -> BinaryIO:
    """Keep standard output for reports: whatever a library prints goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb", buffering=0)
