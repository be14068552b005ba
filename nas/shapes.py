# SPDX-License-Identifier: Apache-2.0
"""What a net costs before it exists: shapes, validity, parameters, FLOPs and memory in closed form.

Legend: C, H, W = channels, height and width of a map. Convolutions are valid with stride 1, inside blocks they are
'same'; every convolution and every linear layer has a bias (paper section IV.C, fixed by its parameter counts).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from nas.architecture import Architecture, Concat, Conv, Flatten, Inception, Layer, Linear, Pool, SEInception
from nas.config import InputShape

Shape = tuple[int, ...]
"""(C, H, W) of a map, or (N,) of a vector."""

BYTES_PER_VALUE = 4
"""fp32; mixed precision keeps less, so the estimates stay upper bounds."""
_COPIES_OF_WEIGHTS = 4
"""The weights, their gradients and Adam's two moments."""
_POOL_VALUES = 3
"""Max pooling keeps a value and its 64-bit index, together the room of three fp32 values."""


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


@dataclass(frozen=True, slots=True)
class _Product:
    """A convolution or linear layer: at each site, every output weighs ``fan_in`` inputs and adds a bias."""

    fan_in: int
    outputs: int
    sites: int

    @property
    def param_count(self) -> int:
        return self.outputs * (self.fan_in + 1)

    @property
    def flops(self) -> int:
        return 2 * self.fan_in * self.outputs * self.sites

    @property
    def values(self) -> int:
        return self.outputs * self.sites


def output_shapes(architecture: Architecture, input_shape: InputShape) -> tuple[Shape, ...]:
    """Shapes of the input and then of every layer's output, so that index p belongs to the layer at position p.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    shapes: list[Shape] = [(input_shape.channels, input_shape.height, input_shape.width)]
    for position, layer in enumerate(architecture.layers, start=1):
        shapes.append(_output_shape(position, layer, shapes))
    return tuple(shapes)


def summarise(architecture: Architecture, input_shape: InputShape) -> tuple[LayerSummary, ...]:
    """Work out every layer's output shape and cost.

    Raises:
        ShapeError: a layer does not fit the map it gets.
    """
    shapes = output_shapes(architecture, input_shape)
    summaries = []
    for position, layer in enumerate(architecture.layers, start=1):
        products = _products(layer, shapes[position - 1], shapes[position])
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
        _kept_values(layer, shapes[position - 1], shapes[position])
        for position, layer in enumerate(architecture.layers, start=1)
    ]
    values_per_image = math.prod(shapes[0]) + sum(kept) + 2 * max(kept)
    copies = _COPIES_OF_WEIGHTS * param_count(architecture, input_shape)
    return BYTES_PER_VALUE * (copies + batch_size * values_per_image)


def _output_shape(position: int, layer: Layer, shapes: list[Shape]) -> Shape:
    source = shapes[-1]
    match layer:
        case Conv():
            return (layer.filters, *_slide(position, source, size=layer.kernel, step=1))
        case Pool():
            return (source[0], *_slide(position, source, size=layer.size, step=layer.step))
        case Inception():
            return (layer.out_channels, *source[1:])
        case Concat():
            other = shapes[-2]
            return (source[0] + other[0], min(source[1], other[1]), min(source[2], other[2]))
        case Flatten():
            return (math.prod(source),)
        case Linear():
            return (layer.outputs,)
        case _:
            assert_never(layer)


def _slide(position: int, source: Shape, *, size: int, step: int) -> tuple[int, int]:
    _, height, width = source
    if size > min(height, width):
        raise ShapeError(
            position,
            f"a {size}x{size} window does not fit the {height}x{width} map it gets; shrink it or enlarge the input",
        )
    return (height - size) // step + 1, (width - size) // step + 1


def _products(layer: Layer, source: Shape, output: Shape) -> tuple[_Product, ...]:
    match layer:
        case Conv():
            return (_Product(source[0] * layer.kernel**2, layer.filters, math.prod(output[1:])),)
        case Inception():
            return _block_products(layer, source)
        case Linear():
            return (_Product(source[0], layer.outputs, 1),)
        case Pool() | Concat() | Flatten():
            return ()
        case _:
            assert_never(layer)


def _block_products(block: Inception, source: Shape) -> tuple[_Product, ...]:
    channels, sites = source[0], math.prod(source[1:])
    branches = (
        _Product(channels, block.ch1x1, sites),
        _Product(channels, block.ch3x3red, sites),
        _Product(block.ch3x3red * 9, block.ch3x3, sites),
        _Product(channels, block.ch5x5red, sites),
        _Product(block.ch5x5red * 25, block.ch5x5, sites),
        _Product(channels, block.pool_proj, sites),
    )
    if not isinstance(block, SEInception):
        return branches
    squeeze = _Product(block.out_channels, block.squeezed_channels, 1)
    excite = _Product(block.squeezed_channels, block.out_channels, 1)
    return (*branches, squeeze, excite)


def _kept_values(layer: Layer, source: Shape, output: Shape) -> int:
    activated = 2 * sum(product.values for product in _products(layer, source, output))
    match layer:
        case Pool():
            return 0 if layer.is_identity else _POOL_VALUES * math.prod(output)
        case SEInception():
            # Joined, rescaled and squeezed outputs.
            maps = 2 * math.prod(output) + layer.out_channels
            return activated + _POOL_VALUES * math.prod(source) + maps
        case Inception():
            return activated + _POOL_VALUES * math.prod(source) + math.prod(output)
        case Concat():
            return math.prod(output)
        case Conv() | Flatten() | Linear():
            return activated
        case _:
            assert_never(layer)
