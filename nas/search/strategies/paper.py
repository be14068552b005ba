# SPDX-License-Identifier: Apache-2.0
"""The paper's rule (sections III.C and III.D; docs/paper-map.md): one iteration after the other, two parents each.

Every operation makes one child of each parent. When all children of an iteration have an outcome, BEST and SMALLEST
become the parents of the next. The search stops when the best accuracy falls below that of the iteration before.
"""

from __future__ import annotations

from fractions import Fraction

from nas.child import INITIAL_CHILD, ChildId
from nas.search.reasons import StopReason
from nas.search.state import Search
from nas.search.strategies.base import Decision, DerivedChild, Propose, Select, Stop, Wait, find_cap
from nas.selection import has_declined, select


class PaperStrategy:
    """Grows the best and the smallest child of each iteration until the accuracy declines."""

    def step(self, search: Search) -> Decision:
        """Wait for the whole iteration, select, then stop or begin the next one."""
        if search.unfinished:
            return Wait()
        if not search.is_training_iteration:
            return _next_iteration(search, (INITIAL_CHILD,))
        if not _is_selected(search):
            trained = [c for child in search.of_iteration(search.iteration) if (c := child.contender) is not None]
            choices = select(trained, search.metric)
            return Select(choices=choices) if choices else Stop(reason=StopReason.NO_VALID_CHILDREN)
        reason = StopReason.ACCURACY_DECLINED if _has_declined(search) else find_cap(search)
        if reason is not None:
            return Stop(reason=reason)
        return _next_iteration(search, tuple(choice.child_id for choice in search.selections[-1].choices))

    def keeps(self, search: Search) -> frozenset[ChildId]:
        """Keep the weights of the current iteration's children until some of them are selected."""
        if _is_selected(search) or search.state.is_terminal:
            return frozenset()
        return frozenset(child.child_id for child in search.of_iteration(search.iteration))


def _is_selected(search: Search) -> bool:
    return bool(search.selections) and search.selections[-1].iteration == search.iteration


def _has_declined(search: Search) -> bool:
    best, *previous = [_best(search, selected.choices[0].child_id) for selected in reversed(search.selections[-2:])]
    return has_declined(best, previous[0] if previous else None)


def _best(search: Search, child_id: ChildId) -> Fraction:
    evaluation = search.children[child_id].evaluation
    assert evaluation is not None, f"{child_id} was selected untrained"  # noqa: S101 - only trained children are
    return evaluation.value(search.metric)


def _next_iteration(search: Search, parents: tuple[ChildId, ...]) -> Propose:
    """Propose one child per parent and operation: all children of BEST before those of SMALLEST."""
    iteration = search.iteration + 1
    pairs = [(parent, operation) for parent in parents for operation in search.config.operations]
    children = tuple(
        DerivedChild(child_id=ChildId(iteration, index), parent_id=parent, operation=operation)
        for index, (parent, operation) in enumerate(pairs, start=1)
    )
    return Propose(iteration=iteration, parents=parents, children=children)
