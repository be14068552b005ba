# SPDX-License-Identifier: Apache-2.0
"""What a net costs before it exists: shapes, validity, parameters, FLOPs and memory in closed form.

Legend: C, H, W = channels, height and width of a map. Convolutions are valid with stride 1, inside blocks they are
'same'; every convolution and every linear layer has a bias (paper section IV.C, fixed by its parameter counts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture import Architecture
from nas.config import InputShape
from nas.layers import Layer, LayerShapeError, Shape

BYTES_PER_VALUE = 4
"""fp32; mixed precision keeps less, so the estimates stay upper bounds."""
_COPIES_OF_WEIGHTS = 4
"""The weights, their gradients and Adam's two moments."""


class ShapeError(ValueError):
    """A net that does not fit its input; ``position`` counts layers from 1."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"layer {position}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """One layer with its closed-form figures.

    Attributes:
        position: counted from 1.
        output_shape: (C, H, W), or (N,) from ``F()`` on.
        param_count: weights and biases.
        flops: of one image's forward pass, 2 a multiply-accumulate; convolutions and linear layers only.
    """

    position: int
    layer: Layer
    output_shape: Shape
    param_count: int
    flops: int


def output_shapes(architecture: Architecture, input_shape: InputShape) -> tuple[Shape, ...]:
    """Shapes of the input and then of every layer's output, so that index p belongs to the layer at position p.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    shapes: list[Shape] = [(input_shape.channels, input_shape.height, input_shape.width)]
    for position, layer in enumerate(architecture.layers, start=1):
        try:
            shapes.append(layer.output_shape(*_sources(layer, position, shapes)))
        except LayerShapeError as error:
            raise ShapeError(position, str(error)) from error
    return tuple(shapes)


def summarise(architecture: Architecture, input_shape: InputShape) -> tuple[LayerSummary, ...]:
    """Work out every layer's output shape and cost.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    shapes = output_shapes(architecture, input_shape)
    summaries = []
    for position, layer in enumerate(architecture.layers, start=1):
        products = layer.products(shapes[position - 1])
        summaries.append(
            LayerSummary(
                position=position,
                layer=layer,
                output_shape=shapes[position],
                param_count=sum(product.param_count for product in products),
                flops=sum(product.flops for product in products),
            )
        )
    return tuple(summaries)


def param_count(architecture: Architecture, input_shape: InputShape) -> int:
    """Weights and biases of the whole net.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return sum(summary.param_count for summary in summarise(architecture, input_shape))


def flops(architecture: Architecture, input_shape: InputShape) -> int:
    """Operations of one image's forward pass: 2 a multiply-accumulate, as torch's FlopCounterMode counts.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return sum(summary.flops for summary in summarise(architecture, input_shape))


def weights_bytes(architecture: Architecture, input_shape: InputShape) -> int:
    """Bytes of the weights in fp32, as they lie in a checkpoint without its header.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return BYTES_PER_VALUE * param_count(architecture, input_shape)


def checkpoint_bytes(architecture: Architecture, input_shape: InputShape) -> int:
    """Disk that a training takes at most: three checkpoints, one being written, of four tensors a weight; the result.

    The four are the weights, the best weights and the two moments of the optimizer.

    Raises:
        ShapeError: see ``summarise``.
    """
    return (3 * 4 + 1) * weights_bytes(architecture, input_shape)


def training_bytes(architecture: Architecture, input_shape: InputShape, batch_size: int) -> int:
    """Estimate from above the bytes that training takes, without the scratch space of the convolution library.

    ``4 x (4 x parameters + batch_size x (input + sum of kept + 2 x largest kept))``, where ``kept`` is how many values
    of one image a layer stores for the backward pass: each convolution's output before and after its ReLU, 3 for a
    pooled value (it has a 64-bit index), each joined or rescaled map. The last term is room for gradients in flight.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    shapes = output_shapes(architecture, input_shape)
    kept = [
        layer.kept_values(*_sources(layer, position, shapes))
        for position, layer in enumerate(architecture.layers, start=1)
    ]
    values_per_image = math.prod(shapes[0]) + sum(kept) + 2 * max(kept)
    copies = _COPIES_OF_WEIGHTS * param_count(architecture, input_shape)
    return BYTES_PER_VALUE * (copies + batch_size * values_per_image)


def _sources(layer: Layer, position: int, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    """Return the shapes that the layer at a position reads, the nearest first; index p is layer p's, 0 the input's."""
    return tuple(shapes[position - back] for back in range(1, layer.source_count + 1))
