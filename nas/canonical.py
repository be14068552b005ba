# SPDX-License-Identifier: Apache-2.0
"""When two nets are the same: a graph with explicit edges in which ``P(1,1)`` vanishes, and its hash.

Graphs are compared, never notations: an identity pool computes nothing, yet a Concat() after it joins other layers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from nas.architecture import Architecture
from nas.canonical_json import set_fields
from nas.layers import Layer, number_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One layer that computes.

    Attributes:
        sources: numbers of the nodes that it reads, in the order of their channels. Nodes count from 1; 0 is the input.
    """

    layer: Layer
    sources: tuple[int, ...]


def canonical_graph(architecture: Architecture) -> tuple[Node, ...]:
    """Turn a sequence of layers into the graph it stands for.

    Leaving out identity pools leaves one path through all nodes, so their order is already canonical.
    """
    nodes: list[Node] = []
    holders = [0]  # which node holds the output of the layer at each position; position 0 is the input
    for layer in architecture.layers:
        if layer.is_identity:
            holders.append(holders[-1])
            continue
        sources = tuple(holders[-back] for back in range(1, layer.source_count + 1))
        nodes.append(Node(layer=layer, sources=sources))
        holders.append(len(nodes))
    return tuple(nodes)


def graph_hash(architecture: Architecture) -> str:
    """SHA-256, in hexadecimal, of the canonical graph as JSON: equal for nets that are wired alike, else not.

    The hash of a net stays the same when a later version gives its kinds of layers more fields with defaults.
    """
    graph = [
        [type(node.layer).__name__, _numbers(node.layer), list(node.sources)] for node in canonical_graph(architecture)
    ]
    return hashlib.sha256(json.dumps(graph, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _numbers(layer: Layer) -> list[Any]:
    """Return the numbers of the notation in their order, then by name each field that differs from its default."""
    named = {name: value for name, value in set_fields(layer).items() if name not in number_names(type(layer))}
    return [*layer.numbers, *({name: value} for name, value in named.items())]
