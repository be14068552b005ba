# SPDX-License-Identifier: Apache-2.0
"""When two nets are the same: a graph with explicit edges in which ``P(1,1)`` vanishes, and its hash.

Graphs are compared, never notations: an identity pool computes nothing, yet a Concat() after it joins other layers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass

from nas.architecture import Architecture, Concat, Layer, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One layer that computes.

    Attributes:
        sources: numbers of the nodes it reads, in the order of their channels; nodes count from 1, and 0 is the input.
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
        if isinstance(layer, Pool) and layer.is_identity:
            holders.append(holders[-1])
            continue
        sources = (holders[-1], holders[-2]) if isinstance(layer, Concat) else (holders[-1],)
        nodes.append(Node(layer=layer, sources=sources))
        holders.append(len(nodes))
    return tuple(nodes)


def graph_hash(architecture: Architecture) -> str:
    """SHA-256, in hexadecimal, of the canonical graph as JSON: equal for nets that are wired alike, else not."""
    graph = [
        [type(node.layer).__name__, list(astuple(node.layer)), list(node.sources)]
        for node in canonical_graph(architecture)
    ]
    return hashlib.sha256(json.dumps(graph, separators=(",", ":")).encode()).hexdigest()
