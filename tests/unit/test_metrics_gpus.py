# SPDX-License-Identifier: Apache-2.0
"""GPUs as the management library shows them; where there is none nothing is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from exposition import Series, parse

from server.rpc.servicer import SERVICE
from server.sinks.gpus import Gpus
from server.sinks.metrics import Metrics


class Library:
    """Two GPUs, the second of which tells nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.millijoules = 5_000

    def nvmlInit(self) -> None:
        """Fail, if there is no driver."""
        if self._error is not None:
            raise self._error

    def nvmlDeviceGetCount(self) -> int:
        """Two."""
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        """The number will do."""
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        """In percent."""
        if handle:
            raise RuntimeError("not supported")
        return SimpleNamespace(gpu=75)

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> Any:
        """In bytes."""
        return SimpleNamespace(used=1 << 30, total=1 << 37)

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: int) -> int:
        """In millijoules since the driver was loaded."""
        return self.millijoules


def _read(monkeypatch: pytest.MonkeyPatch, library: object, more_millijoules: int = 0) -> Series:
    monkeypatch.setitem(sys.modules, "pynvml", library)
    gpus = Gpus.find()
    metrics = Metrics(SERVICE, gpus.names)
    gpus.read_off(metrics.gpu)
    if isinstance(library, Library):
        library.millijoules += more_millijoules
    gpus.read_off(metrics.gpu)
    return {name: value for name, value in parse(metrics.render().decode()).items() if name.startswith("nas_gpu")}


def test_a_gpu_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """In base units; energy from the first reading on; a GPU that tells nothing stays at 0."""
    series = _read(monkeypatch, Library(), 2_500)

    assert 0.75 == series['nas_gpu_utilisation_ratio{gpu="0"}']
    assert (1 << 30, 1 << 37) == (
        series['nas_gpu_memory_used_bytes{gpu="0"}'],
        series['nas_gpu_memory_total_bytes{gpu="0"}'],
    )
    assert 2.5 == series['nas_gpu_energy_joules_total{gpu="0"}']
    assert 0 == series['nas_gpu_utilisation_ratio{gpu="1"}']


@pytest.mark.parametrize("library", [None, Library(RuntimeError("no driver"))], ids=["no binding", "no driver"])
def test_without_gpus_there_are_no_series(monkeypatch: pytest.MonkeyPatch, library: object) -> None:
    """Neither a missing binding nor a missing driver is an error."""
    assert {} == _read(monkeypatch, library)


@pytest.mark.gpu
@pytest.mark.skipif(not Gpus.find().names, reason="NVML shows no GPU on this machine")
def test_the_gpu_of_this_machine_is_read() -> None:
    """With the real library."""
    gpus = Gpus.find()
    metrics = Metrics(SERVICE, gpus.names)
    gpus.read_off(metrics.gpu)

    assert parse(metrics.render().decode())['nas_gpu_memory_total_bytes{gpu="0"}'] > 0
