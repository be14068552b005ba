# SPDX-License-Identifier: Apache-2.0
"""The device and the number format that a child trains with, from the settings and the hardware of this machine."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch

from nas.config import Device, Precision, TrainingConfig
from nas.search.conditions import Runtime
from nas.training.errors import DeviceUnavailableError

_BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""Processor features that make bfloat16 faster than float32; without them it is emulated and slower."""
_BF16_CUDA_CAPABILITY = (8, 0)
"""Ampere, the first generation with bfloat16."""


def resolve_runtime(training: TrainingConfig, threads: int) -> Runtime:
    """Decide what AUTO means on this machine.

    Raises:
        DeviceUnavailableError: a device is asked for by name and is not there.
    """
    device = _resolve_device(training.device)
    precision = training.precision
    if precision is Precision.AUTO:
        precision = Precision.BF16 if _has_fast_bf16(device) else Precision.FP32
    return Runtime(
        device=device,
        precision=precision,
        threads=threads,
        hardware=_describe_hardware(device),
        versions=_list_versions(device),
    )


def apply_runtime(runtime: Runtime) -> torch.device:
    """Set torch's process-wide switches and return the device; a process trains under one runtime at a time."""
    torch.set_num_threads(runtime.threads)
    if runtime.device is Device.CPU:
        torch.use_deterministic_algorithms(True)
        # Every operation used here writes all of its output, so filling memory beforehand would only cost time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if runtime.device is Device.CUDA:
        # Not use_deterministic_algorithms: CUDA's max pooling has no such backward pass and would raise.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; bf16 is unaffected
    return torch.device(runtime.device.value)


def list_bf16_features(cpuinfo: str) -> tuple[str, ...]:
    """Name the bfloat16 features among the processor flags in the text of ``/proc/cpuinfo``."""
    match = re.search(r"^flags\s*:(.*)$", cpuinfo, flags=re.MULTILINE)
    flags = match[1].split() if match else []
    return tuple(flag for flag in _BF16_FLAGS if flag in flags)


def _resolve_device(wanted: Device) -> Device:
    present = {
        Device.CUDA: torch.cuda.is_available(),
        Device.MPS: torch.backends.mps.is_available(),
        Device.CPU: True,
    }
    if wanted is Device.AUTO:
        return next(device for device, is_present in present.items() if is_present)
    if not present[wanted]:
        raise DeviceUnavailableError(wanted)
    return wanted


def _has_fast_bf16(device: Device) -> bool:
    if device is Device.CUDA:
        return torch.cuda.get_device_capability() >= _BF16_CUDA_CAPABILITY
    return device is Device.CPU and bool(list_bf16_features(_read_cpuinfo()))


def _describe_hardware(device: Device) -> str:
    if device is Device.CUDA:
        return torch.cuda.get_device_name()
    features = list_bf16_features(_read_cpuinfo())
    return " ".join((platform.machine(), torch.backends.cpu.get_cpu_capability(), *features))


def _list_versions(device: Device) -> tuple[tuple[str, str], ...]:
    versions = [("torch", str(torch.__version__))]
    if device is Device.CUDA:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        versions += [("cuda", str(torch.version.cuda)), ("cudnn", str(cudnn))]
    return tuple(sorted(versions))


def _read_cpuinfo() -> str:
    """Read what Linux says about the processor; other systems have no such file and count as without bfloat16."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
