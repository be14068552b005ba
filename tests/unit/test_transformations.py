# SPDX-License-Identifier: Apache-2.0
"""Transformations with explicit arguments, what is refused, and how the policy draws."""

from __future__ import annotations

import pytest

from nas.architecture import Architecture
from nas.blocks import BlockType
from nas.config import InputShape
from nas.notation import format_notation, parse_notation
from nas.operations import Operation
from nas.transformations import (
    MAX_REDRAWS,
    AddBlock,
    AddConcat,
    AddLayer,
    Proposal,
    Skipped,
    SkipReason,
    Transformation,
    TransformationError,
    Widen,
    format_transformation,
    propose,
    transform,
    valid_transformations,
)

NET = parse_notation("C(8,3) P(1,1) SEIB(1,2,3,4,5,6) Concat() F() FC(3)")
BARE = parse_notation("F() FC(3)")
ROOMY = InputShape(channels=1, height=9, width=9)
BLOCK = BlockType.SE_INCEPTION


def _accept(_: Architecture) -> None:
    return None


@pytest.mark.parametrize(
    ("transformation", "expected"),
    [
        (AddLayer(1, kernel=3), "C(8,3) C(64,3) P(1,1) P(1,1) SEIB(1,2,3,4,5,6) Concat() F() FC(3)"),
        (AddLayer(4, kernel=1), "C(8,3) P(1,1) SEIB(1,2,3,4,5,6) Concat() C(64,1) P(1,1) F() FC(3)"),
        (
            AddLayer(1, 3, filters=5, same=True, bn=True),
            "C(8,3) C(5,3,same,bn) P(1,1) SEIB(1,2,3,4,5,6) Concat() F() FC(3)",
        ),
        (
            AddBlock(2, (6, 5, 4, 3, 2, 1), bn=True),
            "C(8,3) P(1,1) SEIB(6,5,4,3,2,1,bn) SEIB(1,2,3,4,5,6) Concat() F() FC(3)",
        ),
        (AddBlock(2), "C(8,3) P(1,1) SEIB(32,64,128,16,32,32) SEIB(1,2,3,4,5,6) Concat() F() FC(3)"),
        (Widen(1, by=5), "C(13,3) P(1,1) SEIB(1,2,3,4,5,6) Concat() F() FC(3)"),
        (Widen(3, by=32), "C(8,3) P(1,1) SEIB(33,2,35,4,37,38) Concat() F() FC(3)"),
        (AddConcat(2), "C(8,3) P(1,1) Concat() SEIB(1,2,3,4,5,6) Concat() F() FC(3)"),
        (AddConcat(4), "C(8,3) P(1,1) SEIB(1,2,3,4,5,6) Concat() Concat() F() FC(3)"),
    ],
)
def test_transform(transformation: Transformation, expected: str) -> None:
    """What is inserted or widened, and nothing else changes."""
    assert expected == format_notation(transform(NET, transformation, BLOCK))


def test_block_type_decides_what_is_added() -> None:
    """add_block adds an Inception block in a search built around it."""
    child = transform(parse_notation("C(8,3) F() FC(3)"), AddBlock(1), BlockType.INCEPTION)

    assert "C(8,3) IB(32,64,128,16,32,32) F() FC(3)" == format_notation(child)


@pytest.mark.parametrize(
    ("architecture", "transformation", "message"),
    [
        (
            NET,
            AddLayer(0, kernel=3),
            "add_layer(0, kernel=3): the position must lie between 1 and 4, the last layer before the head",
        ),
        (
            NET,
            AddLayer(5, kernel=3),
            "add_layer(5, kernel=3): the position must lie between 1 and 4, the last layer before the head",
        ),
        (NET, AddLayer(1, kernel=5), "add_layer(1, kernel=5): the kernel is 3 or 1, not 5"),
        (
            NET,
            AddLayer(1, 3, filters=0),
            "add_layer(1, kernel=3, filters=0): a convolution has at least 1 filter, not 0",
        ),
        (
            NET,
            AddBlock(1, widths=(1, 2)),
            "add_block(1, widths=(1,2)): a block has 6 widths of at least 1",
        ),
        (
            NET,
            AddBlock(1, widths=(1, 2, 3, 0, 5, 6)),
            "add_block(1, widths=(1,2,3,0,5,6)): a block has 6 widths of at least 1",
        ),
        (NET, AddBlock(-1), "add_block(-1): the position must lie between 1 and 4, the last layer before the head"),
        (
            NET,
            Widen(6, by=32),
            "widen(6, by=32): the position must lie between 1 and 4, the last layer before the head",
        ),
        (NET, Widen(1, by=0), "widen(1, by=0): a layer is widened by at least 1 filter, not 0"),
        (NET, Widen(2, by=32), "widen(2, by=32): only a convolution or a block can be widened"),
        (NET, Widen(4, by=32), "widen(4, by=32): only a convolution or a block can be widened"),
        (NET, AddConcat(1), "concat(1): layer 1 has no layer before it to be joined with"),
        (NET, AddConcat(5), "concat(5): the position must lie between 1 and 4, the last layer before the head"),
        (BARE, AddBlock(1), "add_block(1): the net has no layer before the head that could be transformed"),
    ],
)
def test_refused(architecture: Architecture, transformation: Transformation, message: str) -> None:
    """A transformation that cannot be applied says in one sentence why."""
    with pytest.raises(TransformationError) as caught:
        transform(architecture, transformation, BLOCK)

    assert message == str(caught.value)
    assert transformation == caught.value.transformation


@pytest.mark.parametrize(
    ("transformation", "operation", "text"),
    [
        (AddLayer(4, kernel=3), Operation.ADD_LAYER, "add_layer(4, kernel=3)"),
        (AddBlock(3), Operation.ADD_BLOCK, "add_block(3)"),
        (
            AddLayer(4, 3, filters=32, same=True, bn=True),
            Operation.ADD_LAYER,
            "add_layer(4, kernel=3, filters=32, same, bn)",
        ),
        (AddBlock(3, (8, 8, 16, 4, 4, 4), bn=True), Operation.ADD_BLOCK, "add_block(3, widths=(8,8,16,4,4,4), bn)"),
        (Widen(3, by=32), Operation.WIDEN, "widen(3, by=32)"),
        (AddConcat(4), Operation.CONCAT, "concat(4)"),
    ],
)
def test_kind_and_text(transformation: Transformation, operation: Operation, text: str) -> None:
    """Each transformation knows its operation and prints with its arguments."""
    assert operation is transformation.operation
    assert text == format_transformation(transformation)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation.ADD_LAYER, [AddLayer(p, k) for p in (1, 2, 3, 4) for k in (3, 1)]),
        (Operation.ADD_BLOCK, [AddBlock(1), AddBlock(2), AddBlock(3), AddBlock(4)]),
        (Operation.WIDEN, [Widen(1, 32), Widen(3, 32)]),
        (Operation.CONCAT, [AddConcat(2), AddConcat(3), AddConcat(4)]),
    ],
)
def test_valid_arguments(operation: Operation, expected: list[Transformation]) -> None:
    """All arguments that give a valid net are listed, by position, kernel 3 before kernel 1."""
    assert tuple(expected) == valid_transformations(NET, operation, ROOMY, BLOCK)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (6, [AddLayer(1, 3), AddLayer(1, 1), AddLayer(2, 1), AddLayer(3, 1)]),
        (5, [AddLayer(1, 1), AddLayer(2, 1), AddLayer(3, 1)]),
    ],
)
def test_kernel_3_only_where_it_fits(side: int, expected: list[Transformation]) -> None:
    """Where a 3x3 kernel does not fit, or leaves too little for a later layer, only 1 is valid."""
    architecture = parse_notation("C(8,3) P(2,2) C(8,1) F() FC(3)")
    shape = InputShape(channels=1, height=side, width=side)

    valid = valid_transformations(architecture, Operation.ADD_LAYER, shape, BLOCK)

    assert tuple(expected) == valid


@pytest.mark.parametrize("operation", Operation)
def test_a_bare_head(operation: Operation) -> None:
    """A net without feature layers offers nothing to transform."""

    def never(index: int, below: int) -> int:
        raise AssertionError("nothing to draw from")

    outcome = propose(BARE, operation, block_type=BLOCK, input_shape=ROOMY, draw=never, reject=_accept)

    assert Skipped(SkipReason.NO_VALID_ARGUMENT) == outcome


def test_the_draw_chooses() -> None:
    """Every valid transformation is chosen by exactly one draw, so an even draw makes an even choice."""
    valid = valid_transformations(NET, Operation.ADD_LAYER, ROOMY, BLOCK)

    for chosen, transformation in enumerate(valid):
        asked: list[tuple[int, int]] = []

        def draw(index: int, below: int, chosen: int = chosen, asked: list[tuple[int, int]] = asked) -> int:
            asked.append((index, below))
            return chosen

        outcome = propose(NET, Operation.ADD_LAYER, block_type=BLOCK, input_shape=ROOMY, draw=draw, reject=_accept)

        assert [(0, len(valid))] == asked
        assert Proposal(transformation=transformation, architecture=transform(NET, transformation, BLOCK)) == outcome


def test_a_rejected_draw_is_drawn_again() -> None:
    """The first draw that is not rejected is proposed; draws are numbered from 0."""
    wanted = transform(NET, AddBlock(3), BLOCK)
    indices: list[int] = []

    def draw(index: int, below: int) -> int:
        indices.append(index)
        return index % below

    def reject(child: Architecture) -> SkipReason | None:
        return None if child == wanted else SkipReason.DUPLICATE

    outcome = propose(NET, Operation.ADD_BLOCK, block_type=BLOCK, input_shape=ROOMY, draw=draw, reject=reject)

    assert Proposal(transformation=AddBlock(3), architecture=wanted) == outcome
    assert [0, 1, 2] == indices


def test_skipped_after_sixteen_redraws() -> None:
    """After one draw and 16 redraws the operation is skipped with the reason of the last draw."""
    indices: list[int] = []

    def draw(index: int, below: int) -> int:
        indices.append(index)
        return 0

    def reject(child: Architecture) -> SkipReason | None:
        return SkipReason.TOO_MANY_PARAMETERS if len(indices) == MAX_REDRAWS + 1 else SkipReason.DUPLICATE

    outcome = propose(NET, Operation.WIDEN, block_type=BLOCK, input_shape=ROOMY, draw=draw, reject=reject)

    assert Skipped(SkipReason.TOO_MANY_PARAMETERS) == outcome
    assert list(range(17)) == indices
