# SPDX-License-Identifier: Apache-2.0
"""Three operations that the paper does not have and that make nets smaller or cheaper (docs/adr/0018).

Each is chosen by the setting ``operations``; by default a search has the paper's four.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from nas.architecture import Architecture, ArchitectureError
from nas.blocks import BlockType
from nas.layers import Conv, Pool, Shape
from nas.operations import Growth, Operation
from nas.transformations.base import Transformation, TransformationError, insert, positions, replace_layer
from nas.transformations.growth import LEAST_WIDTH, filters_fewer
from nas.transformations.paper import WIDEN_BY


@dataclass(frozen=True, slots=True)
class Narrow(Transformation):
    """Take ``by`` filters from the convolution at ``position``, or from each branch output: what Widen adds."""

    operation: ClassVar[Operation] = Operation.NARROW

    position: int
    by: int

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[Narrow]:
        """Every layer that has a width, by 32, or by a third of its narrowest output."""
        is_fixed = growth is Growth.FIXED
        for position, layer in enumerate(architecture.features, start=1):
            if widths := layer.output_widths:
                yield cls(position, WIDEN_BY if is_fixed else filters_fewer(widths))

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Replace the layer by a narrower one."""
        layer = architecture.layers[self.position - 1]
        if self.by < 1:
            raise TransformationError(self, f"a layer is narrowed by at least 1 filter, not {self.by}")
        if not layer.output_widths:
            raise TransformationError(self, "only a convolution or a block can be narrowed")
        left = min(layer.output_widths) - self.by
        if left < LEAST_WIDTH:
            raise TransformationError(self, f"{LEAST_WIDTH} filters have to stay, not {left}")
        try:
            narrower = layer.widened(-self.by)
        except ValueError as error:  # the ratio of squeeze and excitation needs as many channels
            raise TransformationError(self, str(error)) from error
        assert narrower is not None  # noqa: S101 - it has a width
        return replace_layer(architecture, self.position, narrower)


@dataclass(frozen=True, slots=True)
class RemoveLayer(Transformation):
    """Take out the layer at ``position``, which is no identity pool.

    An identity pool behind a convolution that is not 'same' goes with it, because ``AddLayer`` inserts both. A
    ``Concat()`` joins whatever two layers then stand before it.
    """

    operation: ClassVar[Operation] = Operation.REMOVE_LAYER

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[RemoveLayer]:
        """Every layer."""
        return (cls(position) for position in positions(architecture))

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Leave the layer out, and the pool that belongs to it."""
        layers = architecture.layers
        layer, behind = layers[self.position - 1], layers[self.position]
        if layer.is_identity:
            raise TransformationError(self, f"{layer.name}(1,1) computes nothing that could be saved")
        count = 2 if isinstance(layer, Conv) and not layer.same and behind.is_identity else 1
        left = (*layers[: self.position - 1], *layers[self.position - 1 + count :])
        if not any(each.output_widths for each in left):
            raise TransformationError(self, "the only convolution or block has to stay")
        try:
            return Architecture(left)
        except ArchitectureError as error:
            raise TransformationError(self, f"this would leave no net: {error}") from error


@dataclass(frozen=True, slots=True)
class AddPool(Transformation):
    """Insert ``P(2,2)``, which halves height and width, after the layer at ``position``."""

    operation: ClassVar[Operation] = Operation.ADD_POOL

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[AddPool]:
        """After every layer."""
        return (cls(position) for position in positions(architecture))

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert the pool."""
        return insert(architecture, self.position, Pool(step=2, size=2))
