# SPDX-License-Identifier: Apache-2.0
"""The record of each operation, and how a transformation is applied. Applying one is pure and exact."""

from __future__ import annotations

from collections.abc import Mapping

from nas.architecture import Architecture
from nas.blocks import BlockType
from nas.operations import Operation
from nas.transformations.base import Transformation, TransformationError
from nas.transformations.paper import AddBlock, AddConcat, AddLayer, Widen
from nas.transformations.smallness import AddPool, Narrow, RemoveLayer

TRANSFORMATIONS: Mapping[Operation, type[Transformation]] = {
    kind.operation: kind for kind in (AddLayer, AddBlock, Widen, AddConcat, Narrow, RemoveLayer, AddPool)
}
"""The record of each operation."""


def transform(architecture: Architecture, transformation: Transformation, block_type: BlockType) -> Architecture:
    """Apply a transformation; whether the result fits an input is up to ``nas.shapes``.

    Raises:
        TransformationError: an argument is out of range, or the net is none that it can be applied to.
    """
    last = len(architecture.features)
    if last == 0:
        raise TransformationError(transformation, "the net has no layer before the head that could be transformed")
    if not 1 <= transformation.position <= last:
        raise TransformationError(
            transformation, f"the position must lie between 1 and {last}, the last layer before the head"
        )
    return transformation.apply(architecture, block_type)
