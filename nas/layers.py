# SPDX-License-Identifier: Apache-2.0
"""The kinds of layers, each with its own mathematics (paper section IV.C); the blocks stand in ``nas.blocks``.

A layer knows its name in the notation, the shape of its output, the convolutions and linear layers that it consists of,
and what training must store of it. Whoever works with nets asks the layer and never lists the kinds.

Legend: C, H, W = channels, height and width of a map. The paper's convolutions are valid with stride 1; each of them
and each linear layer has a bias (fixed by the parameter counts that the paper publishes). What goes beyond the paper is
an option of a layer: a field whose default means the paper's layer (docs/adr/0016).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, replace
from typing import ClassVar

Shape = tuple[int, ...]
"""(C, H, W) of a map, or (N,) of a vector."""

POOL_VALUES = 3
"""Max pooling stores a value and its 64-bit index, which take as much memory as three fp32 values."""


class LayerShapeError(ValueError):
    """A layer does not fit the map that it gets; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Product:
    """A convolution or a linear layer: at each site every output is a weighted sum of ``fan_in`` inputs plus a bias.

    Without inputs it is a learned number. In attention the weights of the sums are not learned but another map.

    Attributes:
        bn: whether batch normalisation follows; it has a scale and a shift per output, and makes the bias redundant.
        bias: whether there is one, where nothing is normalised.
        learned: whether the weights are parameters; if not there is no bias, either.
    """

    fan_in: int
    outputs: int
    sites: int
    bn: bool = False
    bias: bool = True
    learned: bool = True

    @property
    def param_count(self) -> int:
        """Weights and biases, or weights, scales and shifts."""
        return self.outputs * (self.fan_in + (2 if self.bn else int(self.bias))) if self.learned else 0

    @property
    def statistics(self) -> int:
        """Running means and variances, which are no parameters and yet part of a trained net."""
        return 2 * self.outputs if self.bn else 0

    @property
    def kept_values(self) -> int:
        """Values of one image stored for the backward pass: the output before and after normalisation and ReLU."""
        return (3 if self.bn else 2) * self.values

    @property
    def flops(self) -> int:
        """Operations of the forward pass of one image: two per multiplication with addition."""
        return 2 * self.fan_in * self.outputs * self.sites

    @property
    def values(self) -> int:
        """Values of the output."""
        return self.outputs * self.sites


class Layer(ABC):
    """One layer of a net; each subclass is a frozen record and stands for one kind.

    Fields without a default are positive whole numbers, such as the filters of ``C(64,3)``. Those with a default are
    options, which the notation names where they are set: a bool as ``bn``, a positive whole number as ``ratio=8``.
    """

    __slots__ = ()

    name: ClassVar[str]
    """In the notation, such as ``C`` for ``C(64,3)``."""
    source_count: ClassVar[int] = 1
    """How many earlier outputs the layer reads: that of the layer before it, then of the one before that."""

    def __post_init__(self) -> None:
        for name in (*number_names(type(self)), *option_defaults(type(self))):
            value = getattr(self, name)
            if value is not False and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """What stands between the brackets of the notation, in its order."""
        return tuple(getattr(self, name) for name in number_names(type(self)))

    @property
    def is_identity(self) -> bool:
        """Whether the layer passes its input on unchanged."""
        return False

    @abstractmethod
    def output_shape(self, *sources: Shape) -> Shape:
        """Return the shape of the output for inputs of these shapes, the nearest layer's first.

        Raises:
            LayerShapeError: the layer does not fit.
        """

    def products(self, source: Shape) -> tuple[Product, ...]:
        """Return the convolutions and linear layers, from which parameters and FLOPs follow."""
        return ()

    def kept_values(self, *sources: Shape) -> int:
        """Return how many values of one image are stored for the backward pass; by default those of the products."""
        return sum(product.kept_values for product in self.products(sources[0]))

    @property
    def output_widths(self) -> tuple[int, ...]:
        """The filters of each output that is joined to the layer's; empty if it has no width of its own."""
        return ()

    def widened(self, by: int) -> Layer | None:
        """Return the layer with ``by`` more filters in each of ``output_widths``, fewer if ``by`` is negative.

        It is None if the layer has no width of its own.
        """
        return None


def number_names(kind: type[Layer]) -> tuple[str, ...]:
    """Return the names of the numbers that the notation of a kind of layer must give, in its order."""
    return tuple(field.name for field in fields(kind) if field.default is MISSING)  # type: ignore[arg-type]


def option_defaults(kind: type[Layer]) -> dict[str, bool | int]:
    """Return the options of a kind of layer by name, in the order of the notation, with what they are if not given."""
    return {field.name: field.default for field in fields(kind) if field.default is not MISSING}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Layer):
    """``C(a,b)``: a valid b x b convolution with a filters, stride 1, bias, then ReLU.

    Attributes:
        same: pad with zeros, so that height and width stay; the kernel must be odd.
        bn: normalise over the batch before the ReLU, with a scale and a shift in place of the bias.
    """

    name: ClassVar[str] = "C"

    filters: int
    kernel: int
    same: bool = False
    bn: bool = False

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.same and self.kernel % 2 == 0:
            raise ValueError(f"a 'same' convolution needs an odd kernel, not {self.kernel}")

    def output_shape(self, *sources: Shape) -> Shape:
        """Lose kernel - 1 rows and columns, or none."""
        return (self.filters, *(sources[0][1:] if self.same else _slide(sources[0], size=self.kernel, step=1)))

    def products(self, source: Shape) -> tuple[Product, ...]:
        """One convolution."""
        sites = math.prod(self.output_shape(source)[1:])
        return (Product(source[0] * self.kernel**2, self.filters, sites, self.bn),)

    @property
    def output_widths(self) -> tuple[int, ...]:
        """The filters."""
        return (self.filters,)

    def widened(self, by: int) -> Conv:
        """Add filters."""
        return replace(self, filters=self.filters + by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Layer):
    """``P(a,b)``: max pooling with step a and a b x b window, so ``P(1,1)`` is the identity."""

    name: ClassVar[str] = "P"

    step: int
    size: int

    @property
    def is_identity(self) -> bool:
        """Whether this is ``P(1,1)``."""
        return self.step == 1 and self.size == 1

    def output_shape(self, *sources: Shape) -> Shape:
        """Keep the channels."""
        return (sources[0][0], *_slide(sources[0], size=self.size, step=self.step))

    def kept_values(self, *sources: Shape) -> int:
        """Store each pooled value with its index."""
        return 0 if self.is_identity else POOL_VALUES * math.prod(self.output_shape(*sources))


@dataclass(frozen=True, slots=True)
class Concat(Layer):
    """``Concat()``: the channels of the layer before it, then those of the layer before that one.

    Where the two maps differ in size, the larger one is cut to the smaller one around its centre.
    """

    name: ClassVar[str] = "Concat"
    source_count: ClassVar[int] = 2

    def output_shape(self, *sources: Shape) -> Shape:
        """Add the channels, take the smaller height and width."""
        near, far = sources
        return (near[0] + far[0], min(near[1], far[1]), min(near[2], far[2]))

    def kept_values(self, *sources: Shape) -> int:
        """Store the joined map."""
        return math.prod(self.output_shape(*sources))


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """``F()``: C x H x W to one vector."""

    name: ClassVar[str] = "F"

    def output_shape(self, *sources: Shape) -> Shape:
        """One number per value of the map."""
        return (math.prod(sources[0]),)


@dataclass(frozen=True, slots=True)
class GlobalAverage(Layer):
    """``GAP()``: C x H x W to the average of each channel (global average pooling, Lin et al. 2014)."""

    name: ClassVar[str] = "GAP"

    def output_shape(self, *sources: Shape) -> Shape:
        """One number per channel."""
        return (sources[0][0],)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Layer):
    """``FC(a)``: the fully connected head with one output per class."""

    name: ClassVar[str] = "FC"

    outputs: int

    def output_shape(self, *sources: Shape) -> Shape:
        """One number per class."""
        return (self.outputs,)

    def products(self, source: Shape) -> tuple[Product, ...]:
        """One linear layer."""
        return (Product(source[0], self.outputs, 1),)


def _slide(source: Shape, *, size: int, step: int) -> tuple[int, int]:
    """Return height and width of what a sliding window gives."""
    _, height, width = source
    if size > min(height, width):
        raise LayerShapeError(
            f"a {size}x{size} window does not fit the {height}x{width} map it gets; shrink it or enlarge the input"
        )
    return (height - size) // step + 1, (width - size) // step + 1
