# SPDX-License-Identifier: Apache-2.0
"""A worker dies with its server, for three reasons: the kernel's signal, its parent's id, the end of its input.

Imported before anything else, so nothing here takes time to load.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO

PARENT_VARIABLE = "NAS_WORKER_PARENT"
"""Environment variable in which the parent gives its process id."""
_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies; leave at once if it is dead already.

    Args:
        parent: process id of whoever started this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(0)


def leave_at_end_of(stream: BinaryIO, sign: bytes, stop: threading.Event) -> None:
    """Exit when nobody holds the other end of ``stream`` any more; works where the kernel's signal does not.

    Until then ``stop`` is set by the line ``sign``.
    """

    def watch() -> None:
        for line in stream:
            if line == sign:
                stop.set()
        os._exit(0)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def claim_stdout() -> BinaryIO:
    """Keep standard output for reports: whatever a library prints goes to standard error."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb", buffering=0)
