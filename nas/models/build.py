# SPDX-License-Identifier: Apache-2.0
"""From an architecture to a torch module whose weights are named by position: ``layers.3.ch1x1.weight``."""

from __future__ import annotations

from torch import Tensor, nn

from nas.architecture import Architecture
from nas.config import InputShape
from nas.models.blocks import MODULES, Concatenation
from nas.shapes import output_shapes


class Network(nn.Module):
    """A net as a sequence of layers, some of which also look at the output before the last one.

    Args:
        layers: one module per layer, the first at position 1.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({str(position): layer for position, layer in enumerate(layers, start=1)})
        self._joins = tuple(isinstance(layer, Concatenation) for layer in layers)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to logits (N, classes)."""
        near, far = x_NCHW, None
        for layer, joins, next_joins in zip(self.layers.values(), self._joins, (*self._joins[1:], False), strict=True):
            output = layer(near, far) if joins else layer(near)
            # Only a Concat() looks further back than one layer; keeping the map otherwise would cost its memory.
            near, far = output, near if next_joins else None
        return near


def build(architecture: Architecture, input_shape: InputShape) -> Network:
    """Build the net with PyTorch's default initialisation, drawn from torch's global generator.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    sources = output_shapes(architecture, input_shape)[:-1]
    layers = zip(architecture.layers, sources, strict=True)
    return Network([MODULES[type(layer)](layer, source[0]) for layer, source in layers])
