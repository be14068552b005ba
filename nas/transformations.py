# SPDX-License-Identifier: Apache-2.0
"""The paper's four transformations (section III.A) with explicit arguments, and the policy that draws the arguments.

Applying one is pure and exact; the draws come from outside, so that a search can record them and never draw again.
Gap g means "after layer g": nothing is inserted before the first layer, and nothing into the head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

from nas.architecture import Architecture
from nas.blocks import BlockType, make_block
from nas.config import InputShape
from nas.layers import Concat, Conv, Layer, Pool
from nas.operations import Operation
from nas.shapes import ShapeError, output_shapes

ADDED_FILTERS = 64
"""Filters of an added convolution (paper table I)."""
ADDED_KERNELS = (3, 1)
"""Its kernels: 3 as in table I, 1 as in table III's count of M_0 and in table IV."""
WIDEN_BY = 32
"""Filters by which the policy widens a layer (paper section IV.D.1)."""
MAX_REDRAWS = 16
"""How often a rejected draw is drawn again."""


class Transformation(ABC):
    """A change of one net into another with all of its arguments; each subclass is a frozen record of one operation."""

    __slots__ = ()

    operation: ClassVar[Operation]
    position: int
    """The layer, counted from 1, that is changed or after which something is inserted."""

    @classmethod
    @abstractmethod
    def candidates(cls, architecture: Architecture) -> Iterator[Transformation]:
        """Yield every transformation of this kind that a search may draw, by position; not all need fit the input."""

    @abstractmethod
    def apply(self, architecture: Architecture, block_type: BlockType) -> Architecture:
        """Return the child; the position has been checked.

        Raises:
            TransformationError: another argument is out of range.
        """


@dataclass(frozen=True, slots=True)
class AddLayer(Transformation):
    """Insert ``C(64,kernel) P(1,1)`` after the layer at ``position``."""

    operation: ClassVar[Operation] = Operation.ADD_LAYER

    position: int
    kernel: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[AddLayer]:
        """Both kernels after every layer, 3 before 1."""
        return (cls(position, kernel) for position in _positions(architecture) for kernel in ADDED_KERNELS)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert a convolution and an identity pool, as Table I does."""
        if self.kernel not in ADDED_KERNELS:
            raise TransformationError(self, f"the kernel is 3 or 1, not {self.kernel}")
        convolution = Conv(filters=ADDED_FILTERS, kernel=self.kernel)
        return _insert(architecture, self.position, convolution, Pool(step=1, size=1))


@dataclass(frozen=True, slots=True)
class AddBlock(Transformation):
    """Insert the block of the search, at the paper's widths, after the layer at ``position``."""

    operation: ClassVar[Operation] = Operation.ADD_BLOCK

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[AddBlock]:
        """After every layer."""
        return (cls(position) for position in _positions(architecture))

    def apply(self, architecture: Architecture, block_type: BlockType) -> Architecture:
        """Insert the block."""
        return _insert(architecture, self.position, make_block(block_type))


@dataclass(frozen=True, slots=True)
class Widen(Transformation):
    """Add ``by`` filters to the convolution at ``position``, or to each branch output of the block there."""

    operation: ClassVar[Operation] = Operation.WIDEN

    position: int
    by: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[Widen]:
        """Every layer that has a width, by 32."""
        has_width = [layer.widened(WIDEN_BY) is not None for layer in architecture.features]
        return (cls(position, WIDEN_BY) for position in _positions(architecture) if has_width[position - 1])

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Replace the layer by a wider one."""
        if self.by < 1:
            raise TransformationError(self, f"a layer is widened by at least 1 filter, not {self.by}")
        wider = architecture.layers[self.position - 1].widened(self.by)
        if wider is None:
            raise TransformationError(self, "only a convolution or a block can be widened")
        before, after = architecture.layers[: self.position - 1], architecture.layers[self.position :]
        return Architecture((*before, wider, *after))


@dataclass(frozen=True, slots=True)
class AddConcat(Transformation):
    """Insert ``Concat()`` after the layer at ``position``, which joins it with the layer before it."""

    operation: ClassVar[Operation] = Operation.CONCAT

    position: int

    @classmethod
    def candidates(cls, architecture: Architecture) -> Iterator[AddConcat]:
        """After every layer but the first."""
        return (cls(position) for position in _positions(architecture) if position >= 2)

    def apply(self, architecture: Architecture, _block_type: BlockType) -> Architecture:
        """Insert the join."""
        if self.position == 1:
            raise TransformationError(self, "layer 1 has no layer before it to be joined with")
        return _insert(architecture, self.position, Concat())


TRANSFORMATIONS: Mapping[Operation, type[Transformation]] = {
    kind.operation: kind for kind in (AddLayer, AddBlock, Widen, AddConcat)
}
"""The record of each operation."""


class SkipReason(Enum):
    """Why an operation gave no child."""

    NO_VALID_ARGUMENT = "no_valid_argument"
    DUPLICATE = "duplicate"
    TOO_MANY_PARAMETERS = "too_many_parameters"
    TOO_MUCH_MEMORY = "too_much_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A drawn transformation and the net it gives."""

    transformation: Transformation
    architecture: Architecture


@dataclass(frozen=True, slots=True)
class Skipped:
    """No child; ``reason`` is that of the last draw."""

    reason: SkipReason


class TransformationError(ValueError):
    """A transformation that cannot be applied to this net."""

    def __init__(self, transformation: Transformation, reason: str) -> None:
        super().__init__(f"{format_transformation(transformation)}: {reason}")
        self.transformation = transformation
        self.reason = reason


def format_transformation(transformation: Transformation) -> str:
    """Print a transformation as people read it, for example ``add_layer(4, kernel=3)``."""
    names = [field.name for field in fields(transformation) if field.name != "position"]  # type: ignore[arg-type]
    arguments = [str(transformation.position), *(f"{name}={getattr(transformation, name)}" for name in names)]
    return f"{transformation.operation.value}({', '.join(arguments)})"


def transform(architecture: Architecture, transformation: Transformation, block_type: BlockType) -> Architecture:
    """Apply a transformation; whether the result fits an input is up to ``nas.shapes``.

    Raises:
        TransformationError: position, kernel or number of filters is out of range, or the layer has no width.
    """
    last = len(architecture.features)
    if last == 0:
        raise TransformationError(transformation, "the net has no layer before the head that could be transformed")
    if not 1 <= transformation.position <= last:
        raise TransformationError(
            transformation, f"the position must lie between 1 and {last}, the last layer before the head"
        )
    return transformation.apply(architecture, block_type)


def valid_transformations(
    architecture: Architecture, operation: Operation, input_shape: InputShape, block_type: BlockType
) -> tuple[Transformation, ...]:
    """List every transformation of one kind whose result fits the input, by position, kernel 3 before 1."""
    return tuple(
        candidate
        for candidate in TRANSFORMATIONS[operation].candidates(architecture)
        if _fits(transform(architecture, candidate, block_type), input_shape)
    )


def propose(
    architecture: Architecture,
    operation: Operation,
    *,
    block_type: BlockType,
    input_shape: InputShape,
    draw: Callable[[int, int], int],
    reject: Callable[[Architecture], SkipReason | None],
) -> Proposal | Skipped:
    """Draw one of all valid transformations, each as likely; if it is rejected, again up to ``MAX_REDRAWS`` times.

    Args:
        architecture: the parent.
        operation: the kind to draw from.
        block_type: what ``add_block`` adds.
        input_shape: what the child must fit.
        draw: ``draw(index, below)`` gives an integer from ``range(below)``; ``index`` counts the draws from 0.
        reject: says why a child is not wanted, or None if it is.
    """
    choices = valid_transformations(architecture, operation, input_shape, block_type)
    reason = SkipReason.NO_VALID_ARGUMENT
    for index in range(MAX_REDRAWS + 1 if choices else 0):
        transformation = choices[draw(index, len(choices))]
        child = transform(architecture, transformation, block_type)
        rejection = reject(child)
        if rejection is None:
            return Proposal(transformation=transformation, architecture=child)
        reason = rejection
    return Skipped(reason)


def _positions(architecture: Architecture) -> range:
    return range(1, len(architecture.features) + 1)


def _fits(architecture: Architecture, input_shape: InputShape) -> bool:
    try:
        output_shapes(architecture, input_shape)
    except ShapeError:
        return False
    return True


def _insert(architecture: Architecture, position: int, *inserted: Layer) -> Architecture:
    before, after = architecture.layers[:position], architecture.layers[position:]
    return Architecture((*before, *inserted, *after))
