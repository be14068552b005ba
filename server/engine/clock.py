# SPDX-License-Identifier: Apache-2.0
"""The two clocks of an engine, in one record so that tests can turn them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where times come from.

    Attributes:
        wall_ns: nanoseconds since the epoch, for people.
        monotonic: seconds that only rise, for durations.
    """

    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
