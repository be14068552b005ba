# SPDX-License-Identifier: Apache-2.0
"""The canonical hash against a second definition of sameness: the term that a net computes, written out."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures

from nas.architecture import Architecture
from nas.canonical import graph_hash
from nas.layers import Concat, Conv, Flatten, Layer, Linear, Pool

IDENTITY = Pool(step=1, size=1)
_FEW_LAYERS: st.SearchStrategy[Layer] = st.sampled_from([IDENTITY, Conv(filters=1, kernel=1), Concat()])


@st.composite
def _small_nets(draw: st.DrawFn) -> Architecture:
    """Nets of so few kinds of layers that two of them are often the same."""
    layers = draw(st.lists(_FEW_LAYERS, max_size=6))
    features = [layer for position, layer in enumerate(layers) if position >= 2 or not isinstance(layer, Concat)]
    while any(isinstance(layer, Concat) for layer in features[:2]):
        features.insert(0, IDENTITY)
    return Architecture((*features, Flatten(), Linear(outputs=2)))


def _term(architecture: Architecture) -> object:
    terms: list[object] = ["input"]
    for layer in architecture.layers:
        match layer:
            case Pool(step=1, size=1):
                terms.append(terms[-1])
            case Concat():
                terms.append((layer, terms[-1], terms[-2]))
            case _:
                terms.append((layer, terms[-1]))
    return terms[-1]


@given(_small_nets(), _small_nets())
def test_equal_hash_means_equal_term(one: Architecture, other: Architecture) -> None:
    """Two nets have the same hash exactly if they compute the same term."""
    is_same = _term(one) == _term(other)

    assert is_same == (graph_hash(one) == graph_hash(other))


@given(architectures(), st.data())
def test_inserting_an_identity_pool(architecture: Architecture, data: st.DataObject) -> None:
    """An identity pool changes the net only directly before a Concat(), and not behind another identity pool."""
    gap = data.draw(st.integers(0, len(architecture.features)))
    before, after = architecture.layers[:gap], architecture.layers[gap:]
    is_noticed = isinstance(after[0], Concat) and before[-1] != IDENTITY

    inserted = Architecture((*before, IDENTITY, *after))

    assert is_noticed == (graph_hash(architecture) != graph_hash(inserted))


@given(architectures())
def test_hash_is_hexadecimal_sha_256(architecture: Architecture) -> None:
    """The hash is 64 hexadecimal digits and the same every time."""
    text = graph_hash(architecture)

    assert (64, set()) == (len(text), set(text) - set(string.hexdigits.lower()))
    assert text == graph_hash(Architecture(architecture.layers))
