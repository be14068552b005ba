# SPDX-License-Identifier: Apache-2.0
"""The paper's four transformations (section III.A)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from nas.architecture import Architecture
from nas.blocks import PAPER_WIDTHS, BlockType, make_block
from nas.layers import Concat, Conv, Pool, Shape
from nas.operations import Growth, Operation
from nas.transformations.base import Transformation, TransformationError, insert, positions, replace_layer
from nas.transformations.growth import filters_like, filters_more, widths_like

ADDED_FILTERS = 64
"""Filters of an added convolution (paper table I)."""
ADDED_KERNELS = (3, 1)
"""Its kernels: 3 as in table I, 1 as in table III's count of M_0 and in table IV."""
WIDEN_BY = 32
"""Filters by which the policy widens a layer (paper section IV.D.1)."""


@dataclass(frozen=True, slots=True)
class AddLayer(Transformation):
    """Insert ``C(64,kernel) P(1,1)`` after the layer at ``position``; a 'same' convolution without the pool.

    Attributes:
        filters, same, bn: of the convolution; the defaults are the paper's.
    """

    operation: ClassVar[Operation] = Operation.ADD_LAYER

    position: int
    kernel: int
    filters: int = ADDED_FILTERS
    same: bool = False
    bn: bool = False

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[AddLayer]:
        """Both kernels after every layer, 3 before 1."""
        for position in positions(architecture):
            for kernel in ADDED_KERNELS:
                if growth is Growth.FIXED:
                    yield cls(position, kernel)
                else:
                    yield cls(position, kernel, filters=filters_like(shapes[position][0]), same=True, bn=True)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert a convolution and an identity pool, as Table I does."""
        if self.kernel not in ADDED_KERNELS:
            raise TransformationError(self, f"the kernel is 3 or 1, not {self.kernel}")
        if self.filters < 1:
            raise TransformationError(self, f"a convolution has at least 1 filter, not {self.filters}")
        convolution = Conv(filters=self.filters, kernel=self.kernel, same=self.same, bn=self.bn)
        pools = () if self.same else (Pool(step=1, size=1),)
        return insert(architecture, self.position, convolution, *pools)


@dataclass(frozen=True, slots=True)
class AddBlock(Transformation):
    """Insert the block of the search after the layer at ``position``.

    Attributes:
        widths, bn: of the block; the defaults are the paper's.
    """

    operation: ClassVar[Operation] = Operation.ADD_BLOCK

    position: int
    widths: tuple[int, ...] = PAPER_WIDTHS
    bn: bool = False

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[AddBlock]:
        """After every layer."""
        for position in positions(architecture):
            if growth is Growth.FIXED:
                yield cls(position)
            else:
                yield cls(position, widths=widths_like(shapes[position][0]), bn=True)

    def apply(self, architecture: Architecture, block_type: BlockType) -> Architecture:
        """Insert the block."""
        if len(self.widths) != len(PAPER_WIDTHS) or min(self.widths) < 1:
            raise TransformationError(self, f"a block has {len(PAPER_WIDTHS)} widths of at least 1")
        return insert(architecture, self.position, make_block(block_type, self.widths, bn=self.bn))


@dataclass(frozen=True, slots=True)
class Widen(Transformation):
    """Add ``by`` filters to the convolution at ``position``, or to each branch output of the block there."""

    operation: ClassVar[Operation] = Operation.WIDEN

    position: int
    by: int

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[Widen]:
        """Every layer that has a width, by 32, or by half of its narrowest output."""
        is_fixed = growth is Growth.FIXED
        for position, layer in enumerate(architecture.features, start=1):
            if widths := layer.output_widths:
                yield cls(position, WIDEN_BY if is_fixed else filters_more(widths))

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Replace the layer by a wider one."""
        if self.by < 1:
            raise TransformationError(self, f"a layer is widened by at least 1 filter, not {self.by}")
        wider = architecture.layers[self.position - 1].widened(self.by)
        if wider is None:
            raise TransformationError(self, "only a convolution or a block can be widened")
        return replace_layer(architecture, self.position, wider)


@dataclass(frozen=True, slots=True)
class AddConcat(Transformation):
    """Insert ``Concat()`` after the layer at ``position``, which joins it with the layer before it."""

    operation: ClassVar[Operation] = Operation.CONCAT

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth) -> Iterator[AddConcat]:
        """After every layer but the first."""
        return (cls(position) for position in positions(architecture) if position >= 2)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert the join."""
        if self.position == 1:
            raise TransformationError(self, "layer 1 has no layer before it to be joined with")
        return insert(architecture, self.position, Concat())
