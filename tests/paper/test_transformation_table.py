# SPDX-License-Identifier: Apache-2.0
"""Table I: "SSG module applies the four transformations to the input model and generates four children models"."""

from __future__ import annotations

import pytest

from nas.architecture import initial_architecture
from nas.blocks import BlockType
from nas.config import InputShape
from nas.notation import format_notation, parse_notation
from nas.operations import PAPER_OPERATIONS, Operation
from nas.transformations import (
    WIDEN_BY,
    AddBlock,
    AddConcat,
    AddLayer,
    Transformation,
    Widen,
    transform,
    valid_transformations,
)

MNIST = InputShape(channels=1, height=28, width=28)
PRINTED = "C(64,3); P(1,1); IB (32,64,128,16,32,32);P(1,1); F (); FC (10)"

TABLE_I = [
    pytest.param(
        AddLayer(4, kernel=3),
        "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) C(64,3) P(1,1) F() FC(10)",
        id="M_0 = Add_Layer(M)",
    ),
    pytest.param(
        AddBlock(3),
        "C(64,3) P(1,1) IB(32,64,128,16,32,32) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        id="M_1 = Add_Block(M)",
    ),
    pytest.param(
        Widen(3, by=32),
        "C(64,3) P(1,1) IB(64,64,160,16,64,64) P(1,1) F() FC(10)",
        id="M_2 = Widen(M, 3, 32)",
    ),
    pytest.param(
        AddConcat(4),
        "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) Concat() F() FC(10)",
        id="M_3 = Concat(M, -4), printed as Concat(1(-4),1(-5))",
    ),
]


def test_input_model() -> None:
    """'Let's consider the following input model M' is read as printed, and is the initial model of section III.D."""
    assert initial_architecture(BlockType.INCEPTION, 10) == parse_notation(PRINTED)


@pytest.mark.parametrize(("transformation", "printed"), TABLE_I)
def test_table_i(transformation: Transformation, printed: str) -> None:
    """Each transformation gives the net that the table prints.

    "in the case where we want to expand a convolutional layer belonging to an inception block [...] we increase the
    first four layers of the block": the table raises the four branch outputs instead, and so do we. The text's "block
    [...] followed by a fully connected layer" stands in no table and is left out. The table numbers the sources of
    Concat from the end; we number layers from the front, as Widen(M, 3, 32) does. Reference: section III.A.
    """
    child = transform(parse_notation(PRINTED), transformation, BlockType.INCEPTION)

    assert printed == format_notation(child)


@pytest.mark.parametrize(("transformation", "printed"), TABLE_I)
def test_table_i_can_be_drawn(transformation: Transformation, printed: str) -> None:
    """The policy can draw each transformation of the table."""
    architecture = parse_notation(PRINTED)

    valid = valid_transformations(architecture, transformation.operation, MNIST, BlockType.INCEPTION)

    assert transformation in valid
    assert printed in {format_notation(transform(architecture, t, BlockType.INCEPTION)) for t in valid}


def test_order_of_the_children() -> None:
    """'(1) add layer, (2) add a block, (3) widen a layer and, (4) concatenate', section IV.D.1."""
    assert ["add_layer", "add_block", "widen", "concat"] == [operation.value for operation in PAPER_OPERATIONS]


def test_widen_by() -> None:
    """The policy widens as much as 'Widen(M, 3, 32)' does."""
    assert WIDEN_BY == 32


def test_concat_joins_u_and_the_layer_before() -> None:
    """'concat(G, u) operation: concatenates layer u and u-1', section III.A, so there is none after layer 1."""
    valid = valid_transformations(parse_notation(PRINTED), Operation.CONCAT, MNIST, BlockType.INCEPTION)

    assert (AddConcat(2), AddConcat(3), AddConcat(4)) == valid
