# SPDX-License-Identifier: Apache-2.0
"""Which children's files a search still needs; everything else may be deleted."""

from __future__ import annotations

from dataclasses import dataclass

from nas.child import ChildId
from nas.search.state import ChildState, Search


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Children whose weights and whose checkpoints are kept."""

    weights: frozenset[ChildId]
    checkpoints: frozenset[ChildId]


def retained(search: Search) -> Retention:
    """Keep the weights of parents, incumbent and unselected children, the checkpoints of children in training."""
    selected = search.selections[-1].choices if search.selections else ()
    weights = {choice.child_id for choice in selected}
    incumbent = search.incumbent
    if incumbent is not None:
        weights.add(incumbent.child_id)
    is_selected = bool(search.selections) and search.selections[-1].iteration == search.iteration
    if not is_selected and not search.state.is_terminal:
        weights.update(child.child_id for child in search.of_iteration(search.iteration))
    unfinished = (ChildState.PROPOSED, ChildState.RUNNING)
    checkpoints = {child.child_id for child in search.children.values() if child.state in unfinished}
    return Retention(
        weights=frozenset(weights), checkpoints=frozenset() if search.state.is_terminal else frozenset(checkpoints)
    )
