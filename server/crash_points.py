# SPDX-License-Identifier: Apache-2.0
"""Named places at which a test can have this process killed; unless two variables say so, nothing ever happens.

NAS_CRASH_POINTS_ENABLED  must be 1
NAS_CRASH_AT              NAME:N, where the process kills itself when it reaches NAME for the N-th time
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping


class CrashPoints:
    """The point at which one process is to be killed, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        is_enabled = environment.get("NAS_CRASH_POINTS_ENABLED") == "1"
        self._name, _, number = environment.get("NAS_CRASH_AT", "").partition(":") if is_enabled else ("", "", "")
        self._hits_left = int(number) if number else 0

    def reach(self, name: str) -> None:
        """Kill this process with SIGKILL if this is the hit that was asked for."""
        if name != self._name:
            return
        self._hits_left -= 1
        if self._hits_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


reach = CrashPoints(os.environ).reach
"""The crash points of this process."""
