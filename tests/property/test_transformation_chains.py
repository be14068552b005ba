# SPDX-License-Identifier: Apache-2.0
"""Transformations on arbitrary nets: chains stay valid, the list of arguments is exactly the valid ones."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import GREY_28, architectures

from nas.architecture import Architecture, initial_architecture
from nas.blocks import BLOCKS, BlockType, InceptionLayer
from nas.config import InputShape
from nas.notation import format_notation, parse_notation
from nas.operations import Operation
from nas.shapes import ShapeError, output_shapes, param_count
from nas.transformations import (
    AddBlock,
    AddConcat,
    AddLayer,
    Proposal,
    Transformation,
    TransformationError,
    Widen,
    propose,
    transform,
    valid_transformations,
)

_BLOCK_TYPES = st.sampled_from(BlockType)
_GROWTH = {Operation.ADD_LAYER: 2, Operation.ADD_BLOCK: 1, Operation.WIDEN: 0, Operation.CONCAT: 1}


_STEPS = st.lists(st.tuples(st.sampled_from(Operation), st.integers(0, 10**9)), max_size=12)


@given(_BLOCK_TYPES, st.integers(3, 12), _STEPS)
def test_a_chain_stays_valid(block_type: BlockType, side: int, steps: list[tuple[Operation, int]]) -> None:
    """However long the chain from the initial model, on however small an input, every net in it is valid."""
    shape = InputShape(channels=1, height=side, width=side)
    architecture = initial_architecture(block_type, 10)

    for operation, number in steps:
        outcome = propose(
            architecture,
            operation,
            block_type=block_type,
            input_shape=shape,
            draw=functools.partial(_remainder, number),
            reject=lambda child: None,
        )

        assert isinstance(outcome, Proposal)  # kernel 1, a block, a wider block and a concat fit everywhere
        assert len(architecture.layers) + _GROWTH[operation] == len(outcome.architecture.layers)
        assert outcome.architecture == parse_notation(format_notation(outcome.architecture))
        assert param_count(outcome.architecture, shape) > 0
        architecture = outcome.architecture


@pytest.mark.parametrize("operation", Operation)
@given(architectures(max_layers=6), _BLOCK_TYPES)
def test_exactly_the_valid_arguments(operation: Operation, architecture: Architecture, block_type: BlockType) -> None:
    """A transformation is listed if and only if it can be applied and its result fits the input."""
    expected = [t for t in _conceivable(architecture, operation) if _is_valid(architecture, t, block_type)]

    listed = valid_transformations(architecture, operation, GREY_28, block_type)

    assert tuple(expected) == listed


@given(architectures(min_layers=1, max_layers=6), _BLOCK_TYPES, st.data())
def test_nothing_else_changes(architecture: Architecture, block_type: BlockType, data: st.DataObject) -> None:
    """All layers of the parent are still there, in order; a widened one kept its kind and its inner widths."""
    operation = data.draw(st.sampled_from(Operation))
    listed = valid_transformations(architecture, operation, GREY_28, block_type)
    if not listed:
        return
    transformation = data.draw(st.sampled_from(listed))
    at, growth = transformation.position, _GROWTH[operation]

    child = transform(architecture, transformation, block_type)

    kept = at if growth else at - 1
    assert architecture.layers[:kept] == child.layers[:kept]
    assert architecture.layers[at:] == child.layers[at + growth :]
    before, after = architecture.layers[at - 1], child.layers[at - 1]
    assert type(before) is type(after)
    if isinstance(before, InceptionLayer) and operation is Operation.WIDEN:
        assert (32, 0, 32, 0, 32, 32) == tuple(b - a for a, b in zip(before.numbers, after.numbers, strict=True))


@given(architectures(min_layers=1, max_layers=6), st.data())
def test_the_block_type_of_the_search(architecture: Architecture, data: st.DataObject) -> None:
    """add_block inserts the block of the search, whichever blocks the parent has."""
    block_type = data.draw(_BLOCK_TYPES)
    position = data.draw(st.integers(1, len(architecture.features)))

    inserted = transform(architecture, AddBlock(position), block_type).layers[position]

    assert BLOCKS[block_type] is type(inserted)


def _remainder(number: int, _index: int, below: int) -> int:
    return number % below


def _conceivable(architecture: Architecture, operation: Operation) -> Iterator[Transformation]:
    for position in range(-1, len(architecture.layers) + 2):
        match operation:
            case Operation.ADD_LAYER:
                yield AddLayer(position, kernel=3)
                yield AddLayer(position, kernel=1)
            case Operation.ADD_BLOCK:
                yield AddBlock(position)
            case Operation.WIDEN:
                yield Widen(position, by=32)
            case Operation.CONCAT:
                yield AddConcat(position)


def _is_valid(architecture: Architecture, transformation: Transformation, block_type: BlockType) -> bool:
    try:
        output_shapes(transform(architecture, transformation, block_type), GREY_28)
    except (TransformationError, ShapeError):
        return False
    return True
