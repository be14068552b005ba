# SPDX-License-Identifier: Apache-2.0
"""The operations that make nets smaller or cheaper: what they change, what they refuse, what a search may draw."""

from __future__ import annotations

import pytest
from search_driver import Driver, make_config

from client.phrases import describe_transformation
from nas.api.v1 import search_pb2 as pb
from nas.blocks import BlockType
from nas.config import InputShape
from nas.notation import format_notation, parse_notation
from nas.operations import PAPER_OPERATIONS, Growth, Operation
from nas.transformations import (
    LEAST_WIDTH,
    AddBlock,
    AddLayer,
    AddPool,
    Narrow,
    RemoveLayer,
    Transformation,
    TransformationError,
    Widen,
    format_transformation,
    transform,
    valid_transformations,
)
from nas.transformations.growth import widths_like
from server.codec.records import decode_transformation, encode_transformation

NET = "C(40,3) P(1,1) SEIB(36,2,37,4,38,39) P(2,2) Concat() C(8,1) F() FC(3)"
ROOMY = InputShape(channels=1, height=9, width=9)
BLOCK = BlockType.SE_INCEPTION
WIDTHS = ((1, 40), (2, 4))
"""Position and channels, at least 4, in a net of two convolutions."""


@pytest.mark.parametrize(
    ("transformation", "expected"),
    [
        (Narrow(1, by=32), "C(8,3) P(1,1) SEIB(36,2,37,4,38,39) P(2,2) Concat() C(8,1) F() FC(3)"),
        (Narrow(3, by=32), "C(40,3) P(1,1) SEIB(4,2,5,4,6,7) P(2,2) Concat() C(8,1) F() FC(3)"),
        (RemoveLayer(1), "SEIB(36,2,37,4,38,39) P(2,2) Concat() C(8,1) F() FC(3)"),
        (RemoveLayer(3), "C(40,3) P(1,1) P(2,2) Concat() C(8,1) F() FC(3)"),
        (RemoveLayer(4), "C(40,3) P(1,1) SEIB(36,2,37,4,38,39) Concat() C(8,1) F() FC(3)"),
        (RemoveLayer(5), "C(40,3) P(1,1) SEIB(36,2,37,4,38,39) P(2,2) C(8,1) F() FC(3)"),
        (RemoveLayer(6), "C(40,3) P(1,1) SEIB(36,2,37,4,38,39) P(2,2) Concat() F() FC(3)"),
        (AddPool(2), "C(40,3) P(1,1) P(2,2) SEIB(36,2,37,4,38,39) P(2,2) Concat() C(8,1) F() FC(3)"),
    ],
)
def test_transform(transformation: Transformation, expected: str) -> None:
    """What is narrowed, removed or inserted, and nothing else changes but what a ``Concat()`` joins."""
    assert expected == format_notation(transform(parse_notation(NET), transformation, BLOCK))


def test_the_pool_stays_where_it_was_not_inserted_with_the_layer() -> None:
    """Nothing is inserted with a block or with a 'same' convolution, so nothing goes with it."""
    net = parse_notation("C(8,3) IB(4,4,4,4,4,4) P(1,1) C(8,3,same) P(1,1) F() FC(3)")

    assert "C(8,3) P(1,1) C(8,3,same) P(1,1) F() FC(3)" == format_notation(transform(net, RemoveLayer(2), BLOCK))
    assert "C(8,3) IB(4,4,4,4,4,4) P(1,1) P(1,1) F() FC(3)" == format_notation(transform(net, RemoveLayer(4), BLOCK))


@pytest.mark.parametrize(
    ("notation", "transformation", "reason"),
    [
        (NET, Narrow(1, by=0), "narrow(1, by=0): a layer is narrowed by at least 1 filter, not 0"),
        (NET, Narrow(1, by=37), "narrow(1, by=37): 4 filters have to stay, not 3"),
        (NET, Narrow(3, by=33), "narrow(3, by=33): 4 filters have to stay, not 3"),
        (NET, Narrow(4, by=1), "narrow(4, by=1): only a convolution or a block can be narrowed"),
        (
            "SEIB(8,1,8,1,8,8,ratio=32) F() FC(3)",
            Narrow(1, by=4),
            "narrow(1, by=4): the ratio 32 is larger than the 16 channels of the block",
        ),
        (NET, RemoveLayer(2), "remove_layer(2): P(1,1) computes nothing that could be saved"),
        (
            NET,
            RemoveLayer(7),
            "remove_layer(7): the position must lie between 1 and 6, the last layer before the head",
        ),
        (
            "P(2,2) C(8,3) P(1,1) F() FC(3)",
            RemoveLayer(2),
            "remove_layer(2): the only convolution or block has to stay",
        ),
        (
            "C(8,3) C(8,3) Concat() F() FC(3)",
            RemoveLayer(1),
            "remove_layer(1): this would leave no net: layer 2: Concat() needs two layers before it",
        ),
    ],
)
def test_refused(notation: str, transformation: Transformation, reason: str) -> None:
    """What cannot be applied says in one sentence why."""
    with pytest.raises(TransformationError) as caught:
        transform(parse_notation(notation), transformation, BLOCK)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation.NARROW, [Narrow(1, 32), Narrow(3, 32)]),
        (Operation.REMOVE_LAYER, [RemoveLayer(p) for p in (1, 3, 4, 5, 6)]),
        (Operation.ADD_POOL, [AddPool(p) for p in (1, 2, 3, 4, 5, 6)]),
    ],
)
def test_valid_arguments(operation: Operation, expected: list[Transformation]) -> None:
    """All arguments that give a valid net are listed, by position."""
    assert tuple(expected) == valid_transformations(parse_notation(NET), operation, ROOMY, BLOCK)


def test_a_pool_only_where_it_fits() -> None:
    """A map of one pixel cannot be halved, nor one that a later layer needs as it is."""
    net = parse_notation("C(8,3) P(2,2) F() FC(3)")
    three, four = (InputShape(channels=1, height=side, width=side) for side in (4, 7))

    assert () == valid_transformations(net, Operation.ADD_POOL, three, BLOCK)
    assert (AddPool(1), AddPool(2)) == valid_transformations(net, Operation.ADD_POOL, four, BLOCK)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation.ADD_LAYER, [AddLayer(p, k, filters=f, same=True, bn=True) for p, f in WIDTHS for k in (3, 1)]),
        (Operation.ADD_BLOCK, [AddBlock(1, (10, 10, 20, 5, 5, 5), bn=True), AddBlock(2, (2, 2, 2, 2, 2, 2), bn=True)]),
        (Operation.WIDEN, [Widen(1, by=20), Widen(2, by=1)]),
        (Operation.NARROW, [Narrow(1, by=13)]),
        (Operation.REMOVE_LAYER, [RemoveLayer(1), RemoveLayer(2)]),
    ],
)
def test_proportional(operation: Operation, expected: list[Transformation]) -> None:
    """What is added or taken follows the width of the net at that place; nothing gets narrower than 4 or 2."""
    net = parse_notation("C(40,3) C(3,1) F() FC(3)")

    assert tuple(expected) == valid_transformations(net, operation, ROOMY, BLOCK, Growth.PROPORTIONAL)


@pytest.mark.parametrize(
    ("channels", "widths"),
    [(1, (2, 2, 2, 2, 2, 2)), (32, (8, 8, 16, 4, 4, 4)), (64, (16, 16, 32, 8, 8, 8)), (224, (56, 56, 112, 28, 28, 28))],
)
def test_a_block_like_its_map(channels: int, widths: tuple[int, ...]) -> None:
    """As many channels come out as go in, where they can be divided."""
    assert widths == widths_like(channels)


def test_a_proportional_search_says_what_was_drawn() -> None:
    """The arguments stand in its events, and a journal of the paper's holds none of them."""
    operations = (Operation.ADD_LAYER, Operation.ADD_BLOCK, Operation.WIDEN, Operation.NARROW)
    driver = Driver(make_config(operations=operations, growth=Growth.PROPORTIONAL, max_iterations=1))

    layer, block, *_ = (child.transformation for child in driver.search.of_iteration(1))
    assert isinstance(layer, AddLayer)
    assert (True, True) == (layer.same, layer.bn)
    assert isinstance(block, AddBlock)
    assert block.bn
    for transformation in (layer, block):
        message = encode_transformation(transformation)
        assert transformation == decode_transformation(message)
        assert format_transformation(transformation) == describe_transformation(message)
    papers = encode_transformation(AddBlock(3))
    assert pb.Transformation(operation=pb.OPERATION_ADD_BLOCK, position=3) == papers


def test_they_are_not_the_papers() -> None:
    """So a search has them only where its settings say so."""
    assert not {Operation.NARROW, Operation.REMOVE_LAYER, Operation.ADD_POOL} & set(PAPER_OPERATIONS)
    assert LEAST_WIDTH == 4
