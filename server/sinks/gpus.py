# SPDX-License-Identifier: Apache-2.0
"""What NVIDIA's management library (NVML) says about the GPUs, if its binding (the extra ``gpu``) and a driver exist.

Unproved: no machine with a GPU has run it; the tests run it against a stand-in for the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

import structlog

from server.sinks.metrics import GpuMetrics

_MILLIJOULES = 1000.0

log = structlog.get_logger("nas.metrics")


class Gpus:
    """The GPUs of this machine, numbered as the library does."""

    def __init__(self, library: Any, handles: Sequence[Any]) -> None:
        self._library = library
        self._handles = handles
        self._energy: dict[int, float] = {}

    @classmethod
    def find(cls) -> Self:
        """Look for GPUs; none where there is no library, no driver or no GPU."""
        try:
            library: Any = import_module("pynvml")
            library.nvmlInit()
            handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
        except ImportError:
            return cls(None, ())
        except Exception as error:  # the binding's own, which only exist where it does
            log.debug("gpus_not_measured", reason=type(error).__name__)
            return cls(None, ())
        return cls(library, handles)

    @property
    def names(self) -> tuple[str, ...]:
        """What the label ``gpu`` can be."""
        return tuple(str(index) for index in range(len(self._handles)))

    def read_off(self, metrics: GpuMetrics) -> None:
        """Set the gauges; what a GPU does not tell stays as it was."""
        for index, handle in enumerate(self._handles):
            try:
                self._read(metrics, index, handle)
            except Exception as error:
                log.debug("gpu_not_read", gpu=index, reason=type(error).__name__)

    def _read(self, metrics: GpuMetrics, index: int, handle: Any) -> None:
        name, library = str(index), self._library
        metrics.utilisation.labels(name).set(library.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
        memory = library.nvmlDeviceGetMemoryInfo(handle)
        metrics.used_bytes.labels(name).set(memory.used)
        metrics.total_bytes.labels(name).set(memory.total)
        energy = library.nvmlDeviceGetTotalEnergyConsumption(handle) / _MILLIJOULES
        metrics.energy.labels(name).inc(max(0.0, energy - self._energy.get(index, energy)))
        self._energy[index] = energy
