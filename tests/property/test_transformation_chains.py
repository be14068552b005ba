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
from nas.layers import Conv
from nas.notation import format_notation, parse_notation
from nas.operations import PAPER_OPERATIONS, Growth, Operation
from nas.shapes import ShapeError, output_shapes, param_count
from nas.transformations import (
    LEAST_WIDTH,
    AddBlock,
    AddConcat,
    AddLayer,
    AddPool,
    Narrow,
    Proposal,
    RemoveLayer,
    Transformation,
    TransformationError,
    Widen,
    propose,
    transform,
    valid_transformations,
)

_BLOCK_TYPES = st.sampled_from(BlockType)
_STEPS = st.lists(st.tuples(st.sampled_from(Operation), st.integers(0, 10**9)), max_size=12)


@given(_BLOCK_TYPES, st.sampled_from(Growth), st.integers(3, 12), _STEPS)
def test_a_chain_stays_valid(
    block_type: BlockType, growth: Growth, side: int, steps: list[tuple[Operation, int]]
) -> None:
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
            growth=growth,
        )

        if operation in PAPER_OPERATIONS:
            assert isinstance(outcome, Proposal)  # kernel 1, a block, a wider block and a concat fit everywhere
        elif not isinstance(outcome, Proposal):
            continue
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


@given(architectures(min_layers=1, max_layers=6), _BLOCK_TYPES, st.sampled_from(Operation), st.data())
def test_nothing_else_changes(
    architecture: Architecture, block_type: BlockType, operation: Operation, data: st.DataObject
) -> None:
    """All other layers are still there, in order; a resized one kept its kind and its inner widths."""
    listed = valid_transformations(architecture, operation, GREY_28, block_type)
    if not listed:
        return
    transformation = data.draw(st.sampled_from(listed))
    before, gone, new = _touched(architecture, transformation)

    child = transform(architecture, transformation, block_type)

    kept, added = architecture.layers[:before], child.layers[before : before + new]
    assert (*kept, *added, *architecture.layers[before + gone :]) == child.layers
    if gone == new:
        (old,), (resized,) = architecture.layers[before : before + 1], added
        assert type(old) is type(resized)
        difference = tuple(b - a for a, b in zip(old.numbers, resized.numbers, strict=True))
        by = 32 if operation is Operation.WIDEN else -32
        assert difference == ((by, 0, by, 0, by, by) if isinstance(old, InceptionLayer) else (by, 0))


@given(architectures(min_layers=1, max_layers=6), _BLOCK_TYPES)
def test_proportional_growth_follows_the_map(architecture: Architecture, block_type: BlockType) -> None:
    """What is inserted keeps height and width, and about the channels; narrowing by a third undoes widening by half."""
    shapes = output_shapes(architecture, GREY_28)

    def drawn(operation: Operation, parent: Architecture = architecture) -> tuple[Transformation, ...]:
        return valid_transformations(parent, operation, GREY_28, block_type, Growth.PROPORTIONAL)

    for added in (*drawn(Operation.ADD_LAYER), *drawn(Operation.ADD_BLOCK)):
        child = transform(architecture, added, block_type)
        before, after = shapes[added.position], output_shapes(child, GREY_28)[added.position + 1]
        assert len(architecture.layers) + 1 == len(child.layers)
        assert before[1:] == after[1:]
        if before[0] >= 16:
            assert before[0] - 6 <= after[0] <= before[0]
        if any(layer.output_widths for layer in architecture.features):
            assert architecture == transform(child, RemoveLayer(added.position + 1), block_type)
    for widened in drawn(Operation.WIDEN):
        wider = transform(architecture, widened, block_type)
        if min(architecture.layers[widened.position - 1].output_widths) >= LEAST_WIDTH:
            narrowed = next(t for t in drawn(Operation.NARROW, wider) if t.position == widened.position)
            assert architecture == transform(wider, narrowed, block_type)


@given(architectures(min_layers=1, max_layers=6), _BLOCK_TYPES, st.integers(1, 200), st.data())
def test_narrow_undoes_widen(architecture: Architecture, block_type: BlockType, by: int, data: st.DataObject) -> None:
    """Exactly, where the layer was wide enough before to be narrowed to."""
    widths = {p: min(layer.output_widths, default=0) for p, layer in enumerate(architecture.features, start=1)}
    wide = [position for position, width in widths.items() if width >= LEAST_WIDTH]
    if not wide:
        return
    position = data.draw(st.sampled_from(wide))

    wider = transform(architecture, Widen(position, by), block_type)

    assert architecture == transform(wider, Narrow(position, by), block_type)


@given(architectures(min_layers=1, max_layers=6), _BLOCK_TYPES, st.data())
def test_removing_undoes_adding(architecture: Architecture, block_type: BlockType, data: st.DataObject) -> None:
    """Whatever is inserted can be taken out again, and the parent is left; its only convolution cannot be."""
    if not any(layer.output_widths for layer in architecture.features):
        return
    position = data.draw(st.integers(1, len(architecture.features)))
    added = [AddLayer(position, kernel=1), AddBlock(position), AddPool(position)]
    transformation = data.draw(st.sampled_from([*added, AddConcat(position)] if position > 1 else added))

    larger = transform(architecture, transformation, block_type)

    assert architecture == transform(larger, RemoveLayer(position + 1), block_type)


@given(architectures(min_layers=1, max_layers=6), st.data())
def test_the_block_type_of_the_search(architecture: Architecture, data: st.DataObject) -> None:
    """add_block inserts the block of the search, whichever blocks the parent has."""
    block_type = data.draw(_BLOCK_TYPES)
    position = data.draw(st.integers(1, len(architecture.features)))

    inserted = transform(architecture, AddBlock(position), block_type).layers[position]

    assert BLOCKS[block_type] is type(inserted)


def _remainder(number: int, _index: int, below: int) -> int:
    return number % below


def _touched(architecture: Architecture, transformation: Transformation) -> tuple[int, int, int]:
    """How many layers stand before the change, how many of the parent's it takes, how many it puts there."""
    at = transformation.position
    match transformation.operation:
        case Operation.REMOVE_LAYER:
            layer, behind = architecture.layers[at - 1 : at + 1]
            return at - 1, 2 if isinstance(layer, Conv) and not layer.same and behind.is_identity else 1, 0
        case Operation.WIDEN | Operation.NARROW:
            return at - 1, 1, 1
        case Operation.ADD_LAYER:
            return at, 0, 2
        case _:
            return at, 0, 1


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
            case Operation.NARROW:
                yield Narrow(position, by=32)
            case Operation.REMOVE_LAYER:
                yield RemoveLayer(position)
            case Operation.ADD_POOL:
                yield AddPool(position)


def _is_valid(architecture: Architecture, transformation: Transformation, block_type: BlockType) -> bool:
    try:
        output_shapes(transform(architecture, transformation, block_type), GREY_28)
    except (TransformationError, ShapeError):
        return False
    return True
