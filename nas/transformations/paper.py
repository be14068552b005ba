# SPDX-License-Identifier: Apache-2.0
"""The paper's four transformations (section III.A)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from nas.architecture import Architecture
from nas.blocks import BlockType, make_block
from nas.layers import Concat, Conv, Pool
from nas.operations import Operation
from nas.transformations.base import Transformation, TransformationError, insert, positions, replace_layer

ADDED_FILTERS = 64
"""Filters of an added convolution (paper table I)."""
ADDED_KERNELS = (3, 1)
"""Its kernels: 3 as in table I, 1 as in table III's count of M_0 and in table IV."""
WIDEN_BY = 32
"""Filters by which the policy widens a layer (paper section IV.D.1)."""


@dataclass(frozen=True, slots=True)
class AddLayer(Transformation):
    """Insert ``C(64,kernel) P(1,1)`` after the layer at ``position``."""

    operation: ClassVar[Operation] = Operation.ADD_LAYER

    position: int
    kernel: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[AddLayer]:
        """Both kernels after every layer, 3 before 1."""
        return (cls(position, kernel) for position in positions(architecture) for kernel in ADDED_KERNELS)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert a convolution and an identity pool, as Table I does."""
        if self.kernel not in ADDED_KERNELS:
            raise TransformationError(self, f"the kernel is 3 or 1, not {self.kernel}")
        convolution = Conv(filters=ADDED_FILTERS, kernel=self.kernel)
        return insert(architecture, self.position, convolution, Pool(step=1, size=1))


@dataclass(frozen=True, slots=True)
class AddBlock(Transformation):
    """Insert the block of the search, at the paper's widths, after the layer at ``position``."""

    operation: ClassVar[Operation] = Operation.ADD_BLOCK

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[AddBlock]:
        """After every layer."""
        return (cls(position) for position in positions(architecture))

    def apply(self, architecture: Architecture, block_type: BlockType) -> Architecture:
        """Insert the block."""
        return insert(architecture, self.position, make_block(block_type))


@dataclass(frozen=True, slots=True)
class Widen(Transformation):
    """Add ``by`` filters to the convolution at ``position``, or to each branch output of the block there."""

    operation: ClassVar[Operation] = Operation.WIDEN

    position: int
    by: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[Widen]:
        """Every layer that has a width, by 32."""
        layers = enumerate(architecture.features, start=1)
        return (cls(position, WIDEN_BY) for position, layer in layers if layer.output_widths)

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
    def candidates(cls, architecture: Architecture) -> Iterator[AddConcat]:
        """After every layer but the first."""
        return (cls(position) for position in positions(architecture) if position >= 2)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert the join."""
        if self.position == 1:
            raise TransformationError(self, "layer 1 has no layer before it to be joined with")
        return insert(architecture, self.position, Concat())
