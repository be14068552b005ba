# SPDX-License-Identifier: Apache-2.0
"""From an architecture to a torch module whose weights are named by position: ``layers.3.ch1x1.weight``."""

from __future__ import annotations

from typing import assert_never

from torch import Tensor, nn

from nas.architecture import Architecture, Concat, Conv, Flatten, Inception, Layer, Linear, Pool, SEInception
from nas.config import InputShape
from nas.models.blocks import Concatenation, ConvReLU, InceptionBlock, SEInceptionBlock
from nas.shapes import output_shapes


class Network(nn.Module):
    """A net as a sequence of layers, some of which also look at the output before the last one.

    Args:
        layers: one module a layer, the first at position 1.
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
    shapes = output_shapes(architecture, input_shape)
    sources = shapes[:-1]
    return Network([_module(layer, source[0]) for layer, source in zip(architecture.layers, sources, strict=True)])


def _module(layer: Layer, inputs: int) -> nn.Module:
    """Make one layer's module; ``inputs`` are the channels of its source, or the features of a vector."""
    match layer:
        case Conv():
            return ConvReLU(inputs, layer.filters, layer.kernel)
        case Pool():
            return nn.Identity() if layer.is_identity else nn.MaxPool2d(layer.size, stride=layer.step)
        case SEInception():
            return SEInceptionBlock(inputs, layer)
        case Inception():
            return InceptionBlock(inputs, layer)
        case Concat():
            return Concatenation()
        case Flatten():
            return nn.Flatten()
        case Linear():
            return nn.Linear(inputs, layer.outputs)
        case _:
            assert_never(layer)
