# SPDX-License-Identifier: Apache-2.0
"""What a strategy is: it chooses what a search does next, as a value, and does nothing itself.

``nas.search.progress`` asks for the next decision, records it as events, and asks again until the strategy waits or the
search stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nas.architecture import Architecture
from nas.canonical import graph_hash
from nas.child import ChildId
from nas.operations import Operation
from nas.search.reasons import StopReason
from nas.search.state import ChildState, Search
from nas.selection import Choice
from nas.shapes import param_count, training_bytes
from nas.transformations import SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedChild:
    """A child to derive from its parent. The driver draws the arguments of the operation.

    Where no acceptable arguments are found, the id stays unused and joins ``Search.skipped``.
    """

    child_id: ChildId
    parent_id: ChildId
    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenChild:
    """A child whose architecture the strategy has made itself, and for which ``find_rejection`` returns None."""

    child_id: ChildId
    architecture: Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose:
    """Have children trained.

    Attributes:
        iteration: the current one, or the next, which then begins.
        parents: of the iteration that begins.
        children: in the order in which they are proposed. Their ids are new and belong to the iteration.
    """

    iteration: int
    parents: tuple[ChildId, ...]
    children: tuple[DerivedChild | GivenChild, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Select trained children at the end of the current iteration.

    Attributes:
        choices: the best one first, each with its rule, margin and tie-break; never empty.
    """

    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Ask for no more children. The best nets are finished if that was asked for, and the winner is tested."""

    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Do nothing until a child in training has an outcome; allowed only while ``Search.unfinished`` is not empty."""


Decision = Propose | Select | Stop | Wait


class Strategy(Protocol):
    """Chooses what to propose, what to select and when to stop.

    A strategy holds no state of its own. Both methods are pure functions of the search: no clock, no IO, and random
    choices only by ``nas.seeds`` with the seed of the search. So a restarted server decides as the one before it.
    """

    def step(self, search: Search) -> Decision:
        """Return the next decision.

        It is called only while the search runs, has not stopped and has time left, and it is called again at once with
        the state after the decision, unless the decision was Wait or Stop.
        """

    def keeps(self, search: Search) -> frozenset[ChildId]:
        """Return the children whose weights the strategy still needs.

        The weights of the incumbent and of the children that were selected last are kept in any case.
        """


def find_cap(search: Search) -> StopReason | None:
    """Return the cap of the settings that the search has reached, None if it has reached none."""
    failed = sum(child.state is ChildState.FAILED for child in search.children.values())
    if search.iteration >= search.config.max_iterations:
        return StopReason.MAX_ITERATIONS
    if failed >= search.config.max_failed_children:
        return StopReason.MAX_FAILED_CHILDREN
    return None


def find_rejection(search: Search, architecture: Architecture) -> SkipReason | None:
    """Return why a net may not become a child: its parameters, its memory or an equal child; None if it may."""
    shape = search.started.dataset.shape
    if param_count(architecture, shape) > search.config.max_parameters:
        return SkipReason.TOO_MANY_PARAMETERS
    batch_size = search.config.training.batch_size
    if training_bytes(architecture, shape, batch_size) > search.started.resources.memory_limit_bytes:
        return SkipReason.TOO_MUCH_MEMORY
    graph = graph_hash(architecture)
    if any(graph == child.graph_hash for child in search.children.values()):
        return SkipReason.DUPLICATE
    return None
