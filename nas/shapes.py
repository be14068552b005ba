# SPDX-License-Identifier: Apache-2.0
"""What a net costs before it exists: shapes, validity, parameters, FLOPs and memory in closed form.

Each layer knows its own part (``nas.layers``, ``nas.blocks``); here they are put together to the figures of a net.
Legend: C, H, W = channels, height and width of a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture import Architecture
from nas.config import InputShape
from nas.layers import Layer, LayerShapeError, Shape

BYTES_PER_VALUE = 4
"""fp32. Mixed precision stores less, so the estimates stay upper bounds."""
_COPIES_OF_WEIGHTS = 4
"""The weights, their gradients and Adam's two moments."""


class ShapeError(ValueError):
    """A net does not fit its input; ``position`` counts layers from 1."""

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
        param_count: weights, biases, and scales and shifts of batch normalisation.
        statistics: running means and variances of batch normalisation.
        flops: of the forward pass of one image, two per multiply-accumulate; convolutions and linear layers only.
    """

    position: int
    layer: Layer
    output_shape: Shape
    param_count: int
    statistics: int
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
                statistics=sum(product.statistics for product in products),
                flops=sum(product.flops for product in products),
            )
        )
    return tuple(summaries)


def param_count(architecture: Architecture, input_shape: InputShape) -> int:
    """Trainable parameters of the whole net.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return sum(summary.param_count for summary in summarise(architecture, input_shape))


def flops(architecture: Architecture, input_shape: InputShape) -> int:
    """FLOPs of the forward pass of one image, two per multiply-accumulate, as torch's FlopCounterMode counts.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return sum(summary.flops for summary in summarise(architecture, input_shape))


def weights_bytes(architecture: Architecture, input_shape: InputShape) -> int:
    """Bytes of the weights and running statistics in fp32, as they lie in a checkpoint without its header.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    return BYTES_PER_VALUE * sum(s.param_count + s.statistics for s in summarise(architecture, input_shape))


def checkpoint_bytes(architecture: Architecture, input_shape: InputShape) -> int:
    """Upper bound of the bytes that a training writes: three checkpoints with four values per weight, and the result.

    Two checkpoints are kept while a third is written. The four values are the weight, the best weight so far and
    the two moments of the optimizer.

    Raises:
        ShapeError: see ``summarise``.
    """
    return (3 * 4 + 1) * weights_bytes(architecture, input_shape)


def training_bytes(architecture: Architecture, input_shape: InputShape, batch_size: int) -> int:
    """Estimate from above the bytes that training takes, without the scratch space of the convolution library.

    ``4 x (4 x parameters + batch_size x (input + sum of kept + 2 x largest kept))``, where ``kept`` is the number of
    values of one image that a layer stores for the backward pass (``Layer.kept_values``). The last term is for the
    gradients of the layer that the backward pass has reached.

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
