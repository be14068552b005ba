# SPDX-License-Identifier: Apache-2.0
"""Which children's files a search still needs; everything else may be deleted."""

from __future__ import annotations

from dataclasses import dataclass

from nas.child import ChildId
from nas.search.state import ChildState, Search
from nas.search.strategies import STRATEGIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Children whose weights and whose checkpoints are kept."""

    weights: frozenset[ChildId]
    checkpoints: frozenset[ChildId]


def retained(search: Search) -> Retention:
    """Keep weights of the incumbent, the last selection, finishing and what the strategy names.

    Checkpoints are kept of trainings that have no outcome.
    """
    selected = search.selections[-1].choices if search.selections else ()
    weights = STRATEGIES[search.config.strategy].keeps(search) | {choice.child_id for choice in selected}
    weights |= {child.child_id for child in search.finishing_children}
    if search.incumbent is not None:
        weights |= {search.incumbent.child_id}
    unfinished = (ChildState.PROPOSED, ChildState.RUNNING)
    checkpoints = {child.child_id for child in search.children.values() if child.state in unfinished}
    return Retention(weights=weights, checkpoints=frozenset() if search.state.is_terminal else frozenset(checkpoints))
