# SPDX-License-Identifier: Apache-2.0
"""Errors that keep a training from starting or weights from being used. A diverged training is an outcome, no error.

TrainingError
├── DeviceUnavailableError   the configured device is not there
├── DataMismatchError        arrays do not fit the request or each other
├── InheritanceError         the weights that a training is to start from are missing, changed or do not fit
└── WeightsError             a weights file is missing, has changed or belongs to another net
"""

from __future__ import annotations

from pathlib import Path

from nas.config import Device


class TrainingError(Exception):
    """Root of the errors of this package."""


class DeviceUnavailableError(TrainingError):
    """The device that the search asks for is not there."""

    def __init__(self, device: Device) -> None:
        super().__init__(f"device {device.value} is not available on this machine; use device auto or cpu")
        self.device = device


class DataMismatchError(TrainingError, ValueError):
    """Arrays do not fit the request or each other; ``name`` says which array."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name
        self.reason = reason


class WeightsError(TrainingError):
    """A weights file is missing, has changed since it was recorded, or belongs to another net."""

    def __init__(self, path: Path, expected_sha256: str, reason: str) -> None:
        super().__init__(f"weights file {path.name} {reason}; train the child again")
        self.path = path
        self.expected_sha256 = expected_sha256
        self.reason = reason


class InheritanceError(TrainingError):
    """Weights that a training is to start from are missing, have changed since they were recorded, or do not fit."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot start from weights file {path.name}: it {reason}")
        self.path = path
        self.reason = reason
