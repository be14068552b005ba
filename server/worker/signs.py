# SPDX-License-Identifier: Apache-2.0
"""Signs of progress that a worker gives between its reports: that it gets on, and how long a checkpoint took."""

from __future__ import annotations

import time
from typing import BinaryIO

from server.codec.lines import PULSE, encode_checkpoint

PULSE_SECONDS = 1.0
"""A worker that makes progress says so at most this often."""


class Signs:
    """Called by a trainer after every batch; only a worker that gets on can call it."""

    def __init__(self, reports: BinaryIO) -> None:
        self._reports = reports
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Say that another batch is done."""
        now = time.monotonic()
        if now - self._last >= PULSE_SECONDS:
            self._last = now
            self._reports.write(PULSE)

    def checkpoint(self, seconds: float) -> None:
        """Say that a checkpoint was written, and how long that took."""
        self._reports.write(encode_checkpoint(seconds))
