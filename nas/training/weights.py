# SPDX-License-Identifier: Apache-2.0
"""Weights as files: float32 safetensors with sorted names, identified by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from nas.evaluation import Answers, ask
from nas.models import Network, build
from nas.training.device import apply_runtime, resolve_runtime
from nas.training.errors import WeightsError
from nas.training.request import FitRequest, Images, Labels, require_net, require_pair

BEST_WEIGHTS = "best.safetensors"
"""Name of the best weights inside a checkpoint folder."""

Tensors = dict[str, Tensor]


def snapshot_weights(model: nn.Module) -> Tensors:
    """Copy parameters and buffers to the CPU, by name, in the contiguous memory layout of files."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in sorted(model.state_dict().items())
    }


def serialise_tensors(tensors: Tensors) -> bytes:
    """Render tensors as the content of a safetensors file; equal tensors give equal bytes."""
    content: bytes = safetensors.torch.save(tensors)
    return content


def ask_weights(
    request: FitRequest,
    weights_path: Path,
    weights_sha256: str,
    images: Images,
    labels: Labels,
    on_step: Callable[[], None] = lambda: None,
) -> Answers:
    """Run stored weights on images, such as the winner of a search on the test part.

    Args:
        request: the request that the weights were trained with; its ``checkpoint_dir`` is not used.
        weights_path: a safetensors file as ``fit`` writes it.
        weights_sha256: SHA-256 of that file, in hex, as ``Trained`` reported it.
        images: uint8, (N, C, H, W).
        labels: int64, (N,).
        on_step: called after every batch.

    Raises:
        WeightsError: the file is missing, has another SHA-256, or holds another net.
        DataMismatchError: the images or labels do not fit the net.
        DeviceUnavailableError: the device asked for is not there.
    """
    require_pair("test", images, labels)
    require_net(request, "test", images, labels)
    runtime = resolve_runtime(request.training, request.threads)
    device = apply_runtime(runtime)
    model = _load_network(request, weights_path, weights_sha256)
    return ask(
        model.to(device).to(memory_format=torch.channels_last),
        move_array(images, device),
        move_array(labels, device),
        classes=request.architecture.classes,
        batch_size=request.training.batch_size,
        precision=runtime.precision,
        on_step=on_step,
    )


def move_array(array: Images | Labels, device: torch.device) -> Tensor:
    """Copy an array to the device; torch cannot share read-only memory, which is therefore copied on the CPU first."""
    owned = array if array.flags.writeable and array.flags.c_contiguous else array.copy()
    return torch.from_numpy(owned).to(device)


def read_weights(path: Path, expected_sha256: str) -> Tensors:
    """Read a safetensors file of which the SHA-256, in hex, is known.

    Raises:
        WeightsError: the file is missing, has another SHA-256, or holds no weights.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(path, expected_sha256, f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise WeightsError(path, expected_sha256, "has changed since it was written")
    try:
        tensors: Tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(path, expected_sha256, "holds no weights") from error
    return tensors


def _load_network(request: FitRequest, path: Path, expected_sha256: str) -> Network:
    tensors = read_weights(path, expected_sha256)
    with torch.device("meta"):
        model = build(request.architecture, request.input_shape)
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise WeightsError(path, expected_sha256, "holds the weights of another net") from error
    return model
