# SPDX-License-Identifier: Apache-2.0
"""One engine writes each search; the scheduler gives their attempts to the executor."""

from __future__ import annotations

from server.engine.clock import Clock
from server.engine.engine import Engine
from server.engine.errors import (
    ChildNotFoundError,
    InvalidSettingError,
    RequestIdReusedError,
    SearchEndedError,
    SearchNotFoundError,
    ShuttingDownError,
)
from server.engine.registry import PlanResult, Registry

__all__ = [
    "ChildNotFoundError",
    "Clock",
    "Engine",
    "InvalidSettingError",
    "PlanResult",
    "Registry",
    "RequestIdReusedError",
    "SearchEndedError",
    "SearchNotFoundError",
    "ShuttingDownError",
]
