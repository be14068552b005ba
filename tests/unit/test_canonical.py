# SPDX-License-Identifier: Apache-2.0
"""The canonical graph: explicit edges, no identity pools, and a hash that stays the same between versions."""

from __future__ import annotations

import pytest

from nas.architecture import initial_architecture
from nas.blocks import BlockType, make_block
from nas.canonical import Node, canonical_graph, graph_hash
from nas.layers import Concat, Conv, Flatten, Linear, Pool
from nas.notation import parse_notation

HEAD = "F() FC(3)"


def test_identity_pools_vanish() -> None:
    """The initial model is a chain of four nodes: its two identity pools are gone."""
    expected = (
        Node(layer=Conv(filters=64, kernel=3), sources=(0,)),
        Node(layer=make_block(BlockType.INCEPTION), sources=(1,)),
        Node(layer=Flatten(), sources=(2,)),
        Node(layer=Linear(outputs=10), sources=(3,)),
    )

    graph = canonical_graph(initial_architecture(BlockType.INCEPTION, 10))

    assert expected == graph


def test_other_pools_stay() -> None:
    """A pool with a step or a window larger than 1 computes something."""
    graph = canonical_graph(parse_notation(f"P(2,1) P(1,2) P(1,1) {HEAD}"))

    assert (Pool(step=2, size=1), Pool(step=1, size=2)) == tuple(node.layer for node in graph[:2])


@pytest.mark.parametrize(
    ("features", "sources"),
    [
        ("C(1,1) C(2,1) Concat()", (2, 1)),
        ("C(1,1) P(1,1) C(2,1) Concat()", (2, 1)),
        ("C(1,1) C(2,1) P(1,1) Concat()", (2, 2)),
        ("P(1,1) C(1,1) Concat()", (1, 0)),
        ("P(1,1) P(1,1) Concat()", (0, 0)),
        ("C(1,1) C(2,1) Concat() Concat()", (3, 2)),
        ("C(1,1) C(2,1) Concat() P(1,1) Concat()", (3, 3)),
    ],
)
def test_concat_reads_through_identity_pools(features: str, sources: tuple[int, int]) -> None:
    """Concat() reads whatever computes the outputs of the two layers before it, the nearer one first."""
    graph = canonical_graph(parse_notation(f"{features} {HEAD}"))
    last_concat = [node for node in graph if isinstance(node.layer, Concat)][-1]

    assert sources == last_concat.sources


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C(64,3) C(64,3)", "C(64,3) P(1,1) C(64,3) P(1,1)"),
        ("C(64,3) C(64,1) Concat()", "C(64,3) P(1,1) P(1,1) C(64,1) Concat()"),
        ("C(64,3) P(1,1) Concat()", "P(1,1) C(64,3) P(1,1) P(1,1) Concat()"),
    ],
)
def test_equal_wiring(one: str, other: str) -> None:
    """Nets that differ only in identity pools that no Concat() notices are the same net."""
    assert graph_hash(parse_notation(f"{one} {HEAD}")) == graph_hash(parse_notation(f"{other} {HEAD}"))


def test_everything_else_counts() -> None:
    """Kernels, widths, kinds, order and wiring all make a different net."""
    features = (
        "",
        "C(64,3)",
        "C(64,1)",
        "C(32,3)",
        "P(64,3)",
        "P(2,1)",
        "C(64,3) C(64,1)",
        "C(64,1) C(64,3)",
        "IB(1,2,3,4,5,6)",
        "SEIB(1,2,3,4,5,6)",
        "ECAIB(1,2,3,4,5,6)",
        "ATTNIB(1,2,3,4,5,6)",
        "IB(1,2,3,4,6,5)",
        "C(64,3) C(64,1) Concat()",
        "C(64,3) C(64,1) P(1,1) Concat()",
    )
    nets = [parse_notation(f"{text} {HEAD}") for text in features] + [parse_notation("F() FC(4)")]

    hashes = {graph_hash(net) for net in nets}

    assert len(nets) == len(hashes)


def test_hash_is_stable() -> None:
    """The hash is recorded in journals, so the one of the initial model never changes."""
    expected = "4ae0b84b8307e2e72dc3b21f003e51a3e498dffcb65a9773649c5202af64416d"

    assert expected == graph_hash(initial_architecture(BlockType.SE_INCEPTION, 10))
