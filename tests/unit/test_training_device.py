# SPDX-License-Identifier: Apache-2.0
"""What AUTO becomes on which hardware."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_training import make_data, make_request, run_fit

from nas.config import Device, Precision, TrainingConfig
from nas.training import DeviceUnavailableError, Trained, resolve_runtime
from nas.training.device import apply_runtime, list_bf16_features

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device on this machine")
CPU = TrainingConfig(device=Device.CPU)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16\nbugs\t: \n", ("amx_bf16", "avx512_bf16")),
        ("flags\t\t: fpu avx512f avx512_bf16\n", ("avx512_bf16",)),
        ("flags\t\t: fpu avx2 avx512f\nbugs\t\t: amx_bf16\n", ()),
        ("flags\t\t: avx512_bf16_lookalike\n", ()),
        ("", ()),
    ],
)
def test_bf16_features_are_read_from_the_processor_flags(cpuinfo: str, expected: tuple[str, ...]) -> None:
    """Only whole words on the flags line count; another system's empty text has none."""
    assert expected == list_bf16_features(cpuinfo)


def test_auto_precision_on_the_cpu_follows_the_hardware() -> None:
    """AUTO is BF16 exactly where the recorded hardware has a bfloat16 feature."""
    runtime = resolve_runtime(CPU, threads=1)

    assert ("bf16" in runtime.hardware) == (runtime.precision is Precision.BF16)
    assert Device.CPU is runtime.device


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_a_named_precision_is_taken_as_it_is(precision: Precision) -> None:
    """A user may ask for either format on any hardware."""
    assert precision is resolve_runtime(replace(CPU, precision=precision), threads=1).precision


def test_auto_device_is_never_left_open() -> None:
    """AUTO takes CUDA, then MPS, then the CPU."""
    expected = Device.CPU
    if torch.cuda.is_available():
        expected = Device.CUDA
    elif torch.backends.mps.is_available():
        expected = Device.MPS

    assert expected is resolve_runtime(TrainingConfig(), threads=1).device


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has an MPS device")
def test_a_missing_device_is_a_typed_error() -> None:
    """A device asked for by name is never replaced by another."""
    with pytest.raises(DeviceUnavailableError, match="device mps is not available") as caught:
        resolve_runtime(TrainingConfig(device=Device.MPS), threads=1)

    assert Device.MPS is caught.value.device


def test_runtime_names_the_version_of_torch() -> None:
    """Another version of torch may give other bits, so it is recorded."""
    assert ("torch", str(torch.__version__)) in resolve_runtime(CPU, threads=1).versions


def test_threads_of_the_runtime_are_those_of_torch() -> None:
    """The number of threads is fixed by the search, not by the machine."""
    apply_runtime(resolve_runtime(CPU, threads=2))
    two = torch.get_num_threads()
    apply_runtime(resolve_runtime(CPU, threads=1))

    assert (2, 1) == (two, torch.get_num_threads())


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FP32, Precision.BF16])
def test_a_gpu_learns_what_the_cpu_learns(precision: Precision) -> None:
    """The same code trains on CUDA and ends near the loss of the CPU."""
    _, on_cpu = run_fit(make_request(learning_rate=0.01), make_data())
    _, on_gpu = run_fit(make_request(learning_rate=0.01, device=Device.CUDA, precision=precision), make_data())

    assert isinstance(on_cpu, Trained)
    assert isinstance(on_gpu, Trained)
    assert pytest.approx(on_cpu.evaluation.loss, abs=0.1) == on_gpu.evaluation.loss


@pytest.mark.gpu
@needs_cuda
def test_a_gpu_reports_divergence_at_the_end_of_the_epoch() -> None:
    """A device that is not waited for in every step still never hands out spoilt weights."""
    request = make_request(learning_rate=10.0, weight_decay=10.0, device=Device.CUDA, batch_size=1)

    epochs, outcome = run_fit(request, make_data())

    assert [] == epochs
    assert not isinstance(outcome, Trained)
