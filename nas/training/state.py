# SPDX-License-Identifier: Apache-2.0
"""A net and its optimizer as named tensors and back, without pickle and without a changed bit.

Nothing here knows which optimizer it is. What an optimizer keeps for a parameter may be tensors and numbers; each key
of it becomes a group of tensors, named by the parameters that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nas.training.weights import Tensors, snapshot_weights

WEIGHTS = "weights"
"""Group of the parameters and buffers, such as running statistics."""
_BESIDE, _HOST, _NUMBER = "optimizer", "optimizer-host", "optimizer-number"
"""Kinds of optimizer state: a tensor on the device of its parameter, a tensor on the CPU although the parameter is on
an accelerator, a Python number."""


def capture_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensors]:
    """Copy a net and the state of its optimizer to the CPU.

    Returns:
        Groups of tensors by the names of parameters and buffers; a parameter without state is in no group of the
        optimizer. Shapes and dtypes are kept.

    Raises:
        TypeError: the optimizer keeps something that is neither a tensor nor a number.
    """
    groups = {WEIGHTS: snapshot_weights(model)}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:  # where an optimizer keeps None it means what a missing key means
                kind, tensor = _pack(key, value, parameter)
                groups.setdefault(f"{kind}.{key}", {})[name] = tensor
    return groups


def restore_state(model: nn.Module, optimizer: torch.optim.Optimizer, groups: dict[str, Tensors]) -> None:
    """Put captured tensors back into a net and an optimizer that have just been made."""
    model.load_state_dict(groups[WEIGHTS])
    parameters = dict(model.named_parameters())
    for kind, key, tensors in _list_optimizer_groups(groups):
        for name, tensor in tensors.items():
            parameter = parameters[name]
            optimizer.state[parameter][key] = _unpack(kind, tensor, parameter)


def _list_optimizer_groups(groups: dict[str, Tensors]) -> Iterator[tuple[str, str, Tensors]]:
    """List kind, key and tensors of the groups that belong to the optimizer."""
    for group, tensors in groups.items():
        kind, _, key = group.partition(".")
        if kind in (_BESIDE, _HOST, _NUMBER):
            yield kind, key, tensors


def _pack(key: str, value: object, parameter: Tensor) -> tuple[str, Tensor]:
    """Return the kind of a piece of state, and a copy of it on the CPU in the plain memory layout that files have."""
    match value:
        case Tensor():
            kind = _BESIDE if value.device == parameter.device else _HOST
            return kind, value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        case bool():
            return _NUMBER, torch.tensor(value)
        case int():
            return _NUMBER, torch.tensor(value, dtype=torch.int64)
        case float():
            return _NUMBER, torch.tensor(value, dtype=torch.float64)
        case _:
            raise TypeError(f"an optimizer keeps {key!r} as {type(value).__name__}, which no checkpoint can hold")


def _unpack(kind: str, tensor: Tensor, parameter: Tensor) -> Any:
    if kind == _NUMBER:
        return tensor.item()
    if kind == _HOST:
        return tensor
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device)
    # The optimizer itself would have made it in the memory layout of its parameter.
    return torch.empty_like(parameter.detach(), dtype=tensor.dtype).copy_(tensor)
