# SPDX-License-Identifier: Apache-2.0
"""A net and its optimizer as named tensors and back, without pickle and without a changed bit."""

from __future__ import annotations

import torch
from torch import nn

from nas.training.weights import Tensors, snapshot_weights

WEIGHTS = "weights"
"""Group of the weights themselves."""
_MOMENTS = ("exp_avg", "exp_avg_sq")
_STEP = "step"


def capture_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensors]:
    """Copy the weights, Adam's moments and its step counts to the CPU, each group by the names of the weights."""
    groups = {WEIGHTS: snapshot_weights(model)}
    for key in (*_MOMENTS, _STEP):
        groups[key] = {
            name: optimizer.state[parameter][key].to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, parameter in model.named_parameters()
        }
    return groups


def restore_state(model: nn.Module, optimizer: torch.optim.Optimizer, groups: dict[str, Tensors]) -> None:
    """Put captured tensors back into a net and an optimizer that have just been made."""
    model.load_state_dict(groups[WEIGHTS])
    for name, parameter in model.named_parameters():
        # The moments get the memory layout of their weight, as the optimizer itself would have made them.
        moments = {key: torch.empty_like(parameter.detach()).copy_(groups[key][name]) for key in _MOMENTS}
        optimizer.state[parameter] = {_STEP: groups[_STEP][name].to(parameter.device), **moments}
