# SPDX-License-Identifier: Apache-2.0
"""The method itself: propose children, select parents, stop (paper sections III.C and III.D; docs/paper-map.md)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from nas.architecture import Architecture, initial_architecture
from nas.canonical import graph_hash
from nas.child import INITIAL_CHILD, ChildId
from nas.notation import parse_notation
from nas.operations import Operation
from nas.search import events
from nas.search.evolve import evolve
from nas.search.facts import SearchFailure, StopReason
from nas.search.state import Child, ChildState, EvaluationState, Search, SearchState
from nas.selection import has_declined, select
from nas.shapes import flops, param_count, training_bytes
from nas.transformations import Skipped, SkipReason, Transformation, propose

Draw = Callable[[ChildId, int, int], int]
"""``draw(child_id, index, below)``: the index-th draw for a child, an integer in ``range(below)``."""


class History:
    """The facts decided so far and the state they lead to."""

    def __init__(self, search: Search | None) -> None:
        self._search = search
        self.events: list[events.Event] = []

    @property
    def search(self) -> Search:
        """The state after the facts recorded so far."""
        assert self._search is not None, "no SearchStarted recorded"  # noqa: S101 - decide records it first
        return self._search

    def record(self, event: events.Event) -> None:
        """Add a fact."""
        self._search = evolve(self._search, event)
        self.events.append(event)


def advance(history: History, draw: Draw) -> None:
    """Record everything that follows from the state alone: children, selections, the end."""
    search = history.search
    if not search.children:
        history.record(_initial(search))
    if search.state is SearchState.CANCELLING or search.is_out_of_time:
        _cancel_waiting(history)
    while (
        history.search.state is SearchState.RUNNING
        and history.search.stop is None
        and _is_iteration_over(history.search)
    ):
        _end_iteration(history, draw)
    _finish(history)


def _initial(search: Search) -> events.ChildProposed:
    config = search.config
    if config.initial:
        architecture = parse_notation(config.initial)
    else:
        architecture = initial_architecture(config.block, search.started.dataset.classes)
    return _child_proposed(search, INITIAL_CHILD, architecture)


def _child_proposed(
    search: Search,
    child_id: ChildId,
    architecture: Architecture,
    parent_id: ChildId | None = None,
    transformation: Transformation | None = None,
) -> events.ChildProposed:
    shape = search.started.dataset.shape
    return events.ChildProposed(
        child_id=child_id,
        parent_id=parent_id,
        transformation=transformation,
        architecture=architecture,
        graph_hash=graph_hash(architecture),
        param_count=param_count(architecture, shape),
        flops=flops(architecture, shape),
    )


def _cancel_waiting(history: History) -> None:
    search = history.search
    for child in search.of_iteration(search.iteration):
        if child.state is ChildState.PROPOSED:
            history.record(events.ChildCancelled(child_id=child.child_id))


def _is_iteration_over(search: Search) -> bool:
    if not search.is_training_iteration:
        return True
    unfinished = (ChildState.PROPOSED, ChildState.RUNNING)
    return not any(child.state in unfinished for child in search.of_iteration(search.iteration))


def _end_iteration(history: History, draw: Draw) -> None:
    """Select and stop, or start the next iteration."""
    search = history.search
    if search.is_out_of_time:
        history.record(events.StoppingCriterionMet(reason=StopReason.TIME_BUDGET, iteration=search.iteration))
        return
    if not search.is_training_iteration:
        _start_iteration(history, 1, (INITIAL_CHILD,), draw)
        return
    reason = _select(history)
    if reason is not None:
        history.record(events.StoppingCriterionMet(reason=reason, iteration=search.iteration))
        return
    parents = tuple(choice.child_id for choice in history.search.selections[-1].choices)
    _start_iteration(history, search.iteration + 1, parents, draw)


def _select(history: History) -> StopReason | None:
    """Choose this iteration's parents and return the stopping criterion that holds, in the order of precedence."""
    search = history.search
    contenders = [c for child in search.of_iteration(search.iteration) if (c := child.contender) is not None]
    choices = select(contenders, search.metric)
    incumbent = search.incumbent
    if not choices or incumbent is None:
        return StopReason.NO_VALID_CHILDREN
    best = _metric(search, choices[0].child_id)
    previous = _metric(search, search.selections[-1].choices[0].child_id) if search.selections else None
    history.record(
        events.ChildrenSelected(
            iteration=search.iteration,
            choices=choices,
            previous_best=None if previous is None else float(previous),
            incumbent=incumbent.child_id,
        )
    )
    failed = sum(child.state is ChildState.FAILED for child in search.children.values())
    if has_declined(best, previous):
        return StopReason.ACCURACY_DECLINED
    if search.iteration >= search.config.max_iterations:
        return StopReason.MAX_ITERATIONS
    if failed >= search.config.max_failed_children:
        return StopReason.MAX_FAILED_CHILDREN
    return None


def _metric(search: Search, child_id: ChildId) -> Fraction:
    evaluation = search.children[child_id].evaluation
    assert evaluation is not None, f"{child_id} was selected untrained"  # noqa: S101 - only trained children are contenders
    return evaluation.value(search.metric)


def _start_iteration(history: History, iteration: int, parents: tuple[ChildId, ...], draw: Draw) -> None:
    """Propose BEST's four children before SMALLEST's; a skipped one leaves its id unused."""
    history.record(events.IterationStarted(iteration=iteration, parents=parents))
    pairs = [(parent, operation) for parent in parents for operation in Operation]
    for index, (parent_id, operation) in enumerate(pairs, start=1):
        search = history.search
        history.record(_propose(search, ChildId(iteration, index), search.children[parent_id], operation, draw))


def _propose(
    search: Search, child_id: ChildId, parent: Child, operation: Operation, draw: Draw
) -> events.ChildProposed | events.TransformationSkipped:
    proposal = propose(
        parent.architecture,
        operation,
        block_type=search.config.block,
        input_shape=search.started.dataset.shape,
        draw=lambda index, below: draw(child_id, index, below),
        reject=lambda architecture: _rejection(search, architecture),
    )
    if isinstance(proposal, Skipped):
        return events.TransformationSkipped(
            child_id=child_id, parent_id=parent.child_id, operation=operation, reason=proposal.reason
        )
    return _child_proposed(search, child_id, proposal.architecture, parent.child_id, proposal.transformation)


def _rejection(search: Search, architecture: Architecture) -> SkipReason | None:
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


def _finish(history: History) -> None:
    """Record that the search has come to rest or to its end, if nothing is left to wait for."""
    search = history.search
    is_training = any(child.state is ChildState.RUNNING for child in search.children.values())
    is_evaluating = search.evaluation is not None and search.evaluation.state is EvaluationState.RUNNING
    is_quiet = not is_training and not is_evaluating
    if search.state is SearchState.CANCELLING and is_quiet:
        incumbent = search.incumbent
        history.record(events.SearchCancelled(incumbent=None if incumbent is None else incumbent.child_id))
    elif search.state is SearchState.PAUSING and is_quiet:
        history.record(events.SearchPaused())
    elif search.state is SearchState.RUNNING and search.stop is not None:
        _finish_stopped(history, search, search.stop)


def _finish_stopped(history: History, search: Search, stop: StopReason) -> None:
    evaluation = search.evaluation
    if evaluation is None:
        detail = f"no child was trained successfully by the end of iteration {search.iteration} ({stop.value})"
        history.record(events.SearchFailed(reason=SearchFailure.NO_VALID_CHILDREN, detail=detail))
    elif evaluation.state is EvaluationState.DONE:
        history.record(events.SearchSucceeded(reason=stop, winner=evaluation.child_id))
    elif evaluation.lost_attempts >= search.config.max_attempts:
        detail = f"the test evaluation of {evaluation.child_id} was lost {evaluation.lost_attempts} times"
        history.record(events.SearchFailed(reason=SearchFailure.EVALUATION_FAILED, detail=detail))
