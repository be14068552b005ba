# SPDX-License-Identifier: Apache-2.0
"""Kinds of layers: each one stands alone, is known everywhere, and keeps its hash when it gets a new field."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import isabstract
from itertools import pairwise, permutations
from typing import Any, ClassVar

import pytest

from nas.architecture import LAYER_KINDS, Architecture
from nas.blocks import BLOCKS, BlockType, make_block
from nas.canonical import graph_hash
from nas.layers import Conv, Flatten, Layer, Linear
from nas.models.blocks import MODULES
from nas.notation import format_notation, parse_notation
from nas.operations import PAPER_OPERATIONS, Operation
from nas.transformations import TRANSFORMATIONS

GRAPH_HASHES = (
    pytest.param(
        "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        "e60f8705fc5f65df6e8ed0a9059cb643a2eaeb9926e94f565a9a71ab681728eb",
    ),
    pytest.param(
        "C(64,3) P(1,1) SEIB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        "4ae0b84b8307e2e72dc3b21f003e51a3e498dffcb65a9773649c5202af64416d",
    ),
    pytest.param(
        "C(8,3) P(2,3) IB(1,2,3,4,5,6) SEIB(6,5,4,3,2,1) Concat() Concat() F() FC(3)",
        "0a3d30ef3aa18d777e6030fa489de7870d4943674585fa1177a5b7f9765af53d",
    ),
    pytest.param(
        "C(64,3) P(1,1) ECAIB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        "6f9faa599985efaee812ab84bf33c4e6af1a1402a6c61dc318d4532c22c6a9c5",
    ),
    pytest.param(
        "C(8,3) IB(1,2,3,4,5,6,bn) ECAIB(1,2,3,4,5,6,bn) GAP() FC(3)",
        "31d151710987dec48144bf2a1bc29e4e77a53d4ff77d5fede65930b7b776284f",
    ),
    pytest.param(
        "C(64,3) P(1,1) ATTNIB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        "1e259475aaf75428566babaafe27a6c63dc94055585cd98a9851ca282811b788",
    ),
    pytest.param(
        "C(8,3) IB(1,2,3,4,5,6,bn) ATTNIB(1,2,3,4,5,6,bn) GAP() FC(3)",
        "2337090dd7aff792228f3d3c80c3d51d148ec1c5163a501a1379d23a37b0b2c5",
    ),
    pytest.param(
        "F() FC(2)",
        "923dee55a6ac4f7f8bae361d4534f9d3f8c5af2804ed0c9486416d6d5a8d20f3",
    ),
)


def test_no_kind_is_made_of_another() -> None:
    """A look-up by isinstance never takes one kind of layer for another."""
    mistaken = [(one, other) for one, other in permutations(LAYER_KINDS, 2) if issubclass(one, other)]

    assert [] == mistaken


def test_every_kind_has_a_name_and_a_module() -> None:
    """The notation and the modules know exactly the kinds that there are."""
    # A slotted dataclass is a second class of the same name, so classes are compared by name.
    written = {
        kind.__qualname__ for kind in _below(Layer) if not isabstract(kind) and kind.__module__.startswith("nas.")
    }

    assert written == {kind.__qualname__ for kind in LAYER_KINDS}
    assert set(LAYER_KINDS) == set(MODULES)
    assert len(LAYER_KINDS) == len({kind.name for kind in LAYER_KINDS})


def test_every_block_and_operation_has_its_record() -> None:
    """No member of the two enums is without a record."""
    assert set(BlockType) == set(BLOCKS)
    assert set(Operation) == set(TRANSFORMATIONS)
    assert len(PAPER_OPERATIONS) == 4
    assert all(type(make_block(block_type)) is kind for block_type, kind in BLOCKS.items())


@pytest.mark.parametrize(("notation", "expected"), GRAPH_HASHES)
def test_hashes_of_nets_never_change(notation: str, expected: str) -> None:
    """Journals hold these hashes: for the paper's layers they are those of version 0.1.0."""
    assert expected == graph_hash(parse_notation(notation))


def test_a_new_field_changes_a_hash_only_where_it_is_used() -> None:
    """A kind of layer that gets a field with a default keeps the hash of the nets that do not use it."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Grown(Conv):
        groups: int = 1

    Grown.__name__ = "Conv"
    head = (Flatten(), Linear(outputs=2))
    nets = [
        Architecture((layer, *head))
        for layer in (Conv(filters=3, kernel=1), Grown(filters=3, kernel=1), Grown(filters=3, kernel=1, groups=3))
    ]

    same, changed = [graph_hash(one) == graph_hash(other) for one, other in pairwise(nets)]

    assert same
    assert not changed
    assert format_notation(nets[0]) == format_notation(nets[1])


def test_a_kind_without_its_mathematics_cannot_be_made() -> None:
    """A new block says what it consists of, or it does not exist."""

    @dataclass(frozen=True, slots=True)
    class Unfinished(Layer):
        name: ClassVar[str] = "U"

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()  # type: ignore[abstract]


def test_a_layer_has_positive_numbers() -> None:
    """No layer has a width of zero."""
    with pytest.raises(ValueError, match="kernel must be at least 1, not 0"):
        Conv(filters=1, kernel=0)


def _below(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(_below(inner) for inner in kind.__subclasses__()))
