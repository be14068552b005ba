# SPDX-License-Identifier: Apache-2.0
"""Weights of another child as the initial weights of this one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.training.errors import InheritanceError, WeightsError
from nas.training.request import Inherited
from nas.training.weights import read_weights


def inherit_weights(model: nn.Module, inherited: Inherited) -> None:
    """Put inherited values into a net that has just been made; what is not named keeps its fresh values.

    Everything is checked before anything is changed.

    Raises:
        InheritanceError: the file is missing or has changed, or a tensor is missing or has another shape or dtype.
    """
    path = inherited.path
    try:
        theirs = read_weights(path, inherited.sha256)
    except WeightsError as error:
        raise InheritanceError(path, error.reason) from error
    ours = model.state_dict()
    for name, origin in inherited.origins:
        if origin not in theirs:
            raise InheritanceError(path, f"has no tensor {origin}")
        if name not in ours:
            raise InheritanceError(path, f"is to give {origin} to {name}, which the child does not have")
        if _form(theirs[origin]) != _form(ours[name]):
            forms = f"{_form(theirs[origin])}, but {name} is {_form(ours[name])}"
            raise InheritanceError(path, f"has {origin} as {forms}")
    with torch.no_grad():
        for name, origin in inherited.origins:
            ours[name].copy_(theirs[origin])


def _form(tensor: Tensor) -> str:
    """Dtype and shape in words, such as ``float32 4x1x3x3``."""
    shape = "x".join(str(side) for side in tensor.shape) or "scalar"
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape}"
