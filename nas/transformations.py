# SPDX-License-Identifier: Apache-2.0
"""The paper's four transformations (section III.A) with explicit arguments, and the policy that draws the arguments.

Applying one is pure and exact; the draws come from outside, so that a search can record them and never draw again.
Gap g means "after layer g": nothing is inserted before the first layer, and nothing into the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from nas.architecture import Architecture, BlockType, Concat, Conv, Inception, Layer, Pool, make_block
from nas.config import InputShape
from nas.shapes import ShapeError, output_shapes

ADDED_FILTERS = 64
"""Filters of an added convolution (paper table I)."""
ADDED_KERNELS = (3, 1)
"""Its kernels: 3 as in table I, 1 as in table III's count of M_0 and in table IV."""
WIDEN_BY = 32
"""Filters by which the policy widens a layer (paper section IV.D.1)."""
MAX_REDRAWS = 16
"""How often a rejected draw is drawn again."""


class Operation(Enum):
    """A kind of transformation, in the paper's order, which is the order of a parent's children."""

    ADD_LAYER = "add_layer"
    ADD_BLOCK = "add_block"
    WIDEN = "widen"
    CONCAT = "concat"


@dataclass(frozen=True, slots=True)
class AddLayer:
    """Insert ``C(64,kernel) P(1,1)`` after the layer at ``position``."""

    position: int
    kernel: int


@dataclass(frozen=True, slots=True)
class AddBlock:
    """Insert the block of the search, at the paper's widths, after the layer at ``position``."""

    position: int


@dataclass(frozen=True, slots=True)
class Widen:
    """Add ``by`` filters to the convolution at ``position``, or to each branch output of the block there."""

    position: int
    by: int


@dataclass(frozen=True, slots=True)
class AddConcat:
    """Insert ``Concat()`` after the layer at ``position``, which joins it with the layer before it."""

    position: int


Transformation = AddLayer | AddBlock | Widen | AddConcat


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


def operation_of(transformation: Transformation) -> Operation:
    """The kind of a transformation."""
    match transformation:
        case AddLayer():
            return Operation.ADD_LAYER
        case AddBlock():
            return Operation.ADD_BLOCK
        case Widen():
            return Operation.WIDEN
        case AddConcat():
            return Operation.CONCAT
        case _:
            assert_never(transformation)


def format_transformation(transformation: Transformation) -> str:
    """Print a transformation as people read it, for example ``add_layer(4, kernel=3)``."""
    arguments = str(transformation.position)
    match transformation:
        case AddLayer():
            arguments += f", kernel={transformation.kernel}"
        case Widen():
            arguments += f", by={transformation.by}"
    return f"{operation_of(transformation).value}({arguments})"


def transform(architecture: Architecture, transformation: Transformation, block_type: BlockType) -> Architecture:
    """Apply a transformation; whether the result fits an input is up to ``nas.shapes``.

    Raises:
        TransformationError: position, kernel or number of filters is out of range, or the layer has no width.
    """
    match transformation:
        case AddLayer():
            if transformation.kernel not in ADDED_KERNELS:
                raise TransformationError(transformation, f"the kernel is 3 or 1, not {transformation.kernel}")
            convolution = Conv(filters=ADDED_FILTERS, kernel=transformation.kernel)
            return _insert(architecture, transformation, convolution, Pool(step=1, size=1))
        case AddBlock():
            return _insert(architecture, transformation, make_block(block_type))
        case Widen():
            return _widen(architecture, transformation)
        case AddConcat():
            if transformation.position == 1:
                raise TransformationError(transformation, "layer 1 has no layer before it to be joined with")
            return _insert(architecture, transformation, Concat())
        case _:
            assert_never(transformation)


def valid_transformations(
    architecture: Architecture, operation: Operation, input_shape: InputShape, block_type: BlockType
) -> tuple[Transformation, ...]:
    """List every transformation of one kind whose result fits the input, by position, kernel 3 before 1."""
    return tuple(
        candidate
        for candidate in _candidates(architecture, operation)
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


def _candidates(architecture: Architecture, operation: Operation) -> Iterator[Transformation]:
    for position, layer in enumerate(architecture.features, start=1):
        match operation:
            case Operation.ADD_LAYER:
                yield from (AddLayer(position, kernel) for kernel in ADDED_KERNELS)
            case Operation.ADD_BLOCK:
                yield AddBlock(position)
            case Operation.WIDEN:
                if isinstance(layer, Conv | Inception):
                    yield Widen(position, WIDEN_BY)
            case Operation.CONCAT:
                if position >= 2:
                    yield AddConcat(position)
            case _:
                assert_never(operation)


def _fits(architecture: Architecture, input_shape: InputShape) -> bool:
    try:
        output_shapes(architecture, input_shape)
    except ShapeError:
        return False
    return True


def _insert(architecture: Architecture, transformation: Transformation, *inserted: Layer) -> Architecture:
    _require_feature(architecture, transformation)
    before, after = architecture.layers[: transformation.position], architecture.layers[transformation.position :]
    return Architecture((*before, *inserted, *after))


def _widen(architecture: Architecture, transformation: Widen) -> Architecture:
    _require_feature(architecture, transformation)
    by = transformation.by
    if by < 1:
        raise TransformationError(transformation, f"a layer is widened by at least 1 filter, not {by}")
    layer = architecture.layers[transformation.position - 1]
    wider: Layer
    match layer:
        case Conv():
            wider = replace(layer, filters=layer.filters + by)
        case Inception():  # the branch outputs, as in table I; the text's "first four layers" disagrees
            wider = replace(
                layer,
                ch1x1=layer.ch1x1 + by,
                ch3x3=layer.ch3x3 + by,
                ch5x5=layer.ch5x5 + by,
                pool_proj=layer.pool_proj + by,
            )
        case _:
            raise TransformationError(transformation, "only a convolution or a block can be widened")
    before, after = architecture.layers[: transformation.position - 1], architecture.layers[transformation.position :]
    return Architecture((*before, wider, *after))


def _require_feature(architecture: Architecture, transformation: Transformation) -> None:
    last = len(architecture.features)
    if last == 0:
        raise TransformationError(transformation, "the net has no layer before F() that could be transformed")
    if not 1 <= transformation.position <= last:
        raise TransformationError(
            transformation, f"the position must lie between 1 and {last}, the last layer before F()"
        )
