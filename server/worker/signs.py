# SPDX-License-Identifier: Apache-2.0
"""What a worker tells between its reports: that it makes progress, and how long a checkpoint took."""

from __future__ import annotations

import time
from typing import BinaryIO

from server.codec.lines import PULSE, encode_checkpoint

PULSE_SECONDS = 1.0
"""Least time between two signs of progress."""


class Signs:
    """Writes signs of progress. The trainer calls it after every batch, so a worker that hangs gives none."""

    def __init__(self, reports: BinaryIO) -> None:
        self._reports = reports
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Write that another batch is done, unless the last sign is more recent than ``PULSE_SECONDS``."""
        now = time.monotonic()
        if now - self._last >= PULSE_SECONDS:
            self._last = now
            self._reports.write(PULSE)

    def checkpoint(self, seconds: float) -> None:
        """Write that a checkpoint has been written, and how many seconds that took."""
        self._reports.write(encode_checkpoint(seconds))
