# SPDX-License-Identifier: Apache-2.0
"""The driver of a search: it asks the strategy what to do next and records the answers as events.

The strategy chooses and has no effect; the driver draws arguments, describes children and brings the search to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from nas.architecture import Architecture, initial_architecture
from nas.canonical import graph_hash
from nas.child import INITIAL_CHILD, ChildId
from nas.notation import parse_notation
from nas.recipe import Finish
from nas.search import events
from nas.search.evolve import evolve
from nas.search.finishing import nets_to_finish
from nas.search.reasons import SearchFailure, StopReason
from nas.search.state import ChildState, EvaluationState, Finishing, Search, SearchState
from nas.search.strategies import STRATEGIES
from nas.search.strategies.base import DerivedChild, GivenChild, Propose, Select, Stop, Wait, find_rejection
from nas.shapes import flops, param_count
from nas.transformations import Skipped, Transformation, propose

Draw = Callable[[ChildId, int, int], int]
"""``draw(child_id, index, below)``: the index-th draw for a child, an integer in ``range(below)``."""


class History:
    """The events that one command has led to so far, and the state after them."""

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
    """Record everything that follows from the state alone: children, selections, the end of the search."""
    search = history.search
    if not search.children:
        history.record(_initial(search))
    if search.state is SearchState.CANCELLING or search.is_running_out:
        _cancel_waiting(history)
    while history.search.state is SearchState.RUNNING and history.search.stop is None:
        if not _follow_strategy(history, draw):
            break
    _finish_nets(history)
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
    for child in history.search.unfinished:
        if child.state is ChildState.PROPOSED:
            history.record(events.ChildCancelled(child_id=child.child_id))


def _follow_strategy(history: History, draw: Draw) -> bool:
    """Record the strategy's next decision; return False if there is nothing to do before a child has an outcome."""
    search = history.search
    if search.is_out_of_time:
        if search.unfinished:
            return False
        history.record(events.StoppingCriterionMet(reason=StopReason.TIME_BUDGET, iteration=search.iteration))
        return True
    match decision := STRATEGIES[search.config.strategy].step(search):
        case Propose():
            _propose(history, decision, draw)
        case Select():
            history.record(_selected(search, decision))
        case Stop():
            history.record(events.StoppingCriterionMet(reason=decision.reason, iteration=search.iteration))
        case Wait():
            assert search.unfinished, "a strategy waits for nothing, so the search would never end"  # noqa: S101
            return False
        case _:
            assert_never(decision)
    return True


def _propose(history: History, decision: Propose, draw: Draw) -> None:
    """Begin the iteration if it is a new one, and record its children; a skipped one leaves its id unused."""
    if decision.iteration != history.search.iteration:
        history.record(events.IterationStarted(iteration=decision.iteration, parents=decision.parents))
    for proposed in decision.children:
        search = history.search
        is_new = proposed.child_id not in search.children and proposed.child_id not in search.skipped
        assert is_new, f"a strategy proposes {proposed.child_id} twice"  # noqa: S101 - it would never end
        match proposed:
            case DerivedChild():
                history.record(_derive(search, proposed, draw))
            case GivenChild():
                history.record(_child_proposed(search, proposed.child_id, proposed.architecture))
            case _:
                assert_never(proposed)


def _derive(search: Search, proposed: DerivedChild, draw: Draw) -> events.ChildProposed | events.TransformationSkipped:
    child_id, parent_id, operation = proposed.child_id, proposed.parent_id, proposed.operation
    proposal = propose(
        search.children[parent_id].architecture,
        operation,
        block_type=search.config.block,
        input_shape=search.started.dataset.shape,
        draw=lambda index, below: draw(child_id, index, below),
        reject=lambda architecture: find_rejection(search, architecture),
        growth=search.config.growth,
    )
    if isinstance(proposal, Skipped):
        return events.TransformationSkipped(
            child_id=child_id, parent_id=parent_id, operation=operation, reason=proposal.reason
        )
    return _child_proposed(search, child_id, proposal.architecture, parent_id, proposal.transformation)


def _selected(search: Search, decision: Select) -> events.ChildrenSelected:
    incumbent = search.incumbent
    assert incumbent is not None, "a strategy selects before any child is trained"  # noqa: S101
    return events.ChildrenSelected(
        iteration=search.iteration,
        choices=decision.choices,
        previous_best=search.selections[-1].choices[0].metric_value if search.selections else None,
        incumbent=incumbent.child_id,
    )


def _finish_nets(history: History) -> None:
    """Record the finishing stage, if the search has one and has stopped: its begin, its children, its end."""
    search = history.search
    best = search.incumbent
    has_stopped = search.state is SearchState.RUNNING and search.stop is not None and search.evaluation is None
    if not has_stopped or best is None or search.config.finish is Finish.NONE:
        return
    stage = search.finishing
    if stage is None:
        stage = Finishing(iteration=search.iteration + 1, parents=tuple(net.child_id for net in nets_to_finish(search)))
        history.record(events.FinishingStarted(iteration=stage.iteration, parents=stage.parents))
    for index, parent in enumerate(stage.parents, start=1):
        child_id = ChildId(stage.iteration, index)
        if child_id not in search.children:
            history.record(_child_proposed(search, child_id, search.children[parent].architecture, parent))
    if not history.search.unfinished:
        history.record(events.FinishingCompleted(winner=best.child_id))


def _finish(history: History) -> None:
    """Record that the search is paused or has ended, if no attempt is running that it has to wait for."""
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
    if evaluation is None and search.finishing is not None:
        return
    if evaluation is None:
        detail = f"no child was trained successfully by the end of iteration {search.iteration} ({stop.value})"
        history.record(events.SearchFailed(reason=SearchFailure.NO_VALID_CHILDREN, detail=detail))
    elif evaluation.state is EvaluationState.DONE:
        history.record(events.SearchSucceeded(reason=stop, winner=evaluation.child_id))
    elif evaluation.lost_attempts >= search.config.max_attempts:
        detail = f"the test evaluation of {evaluation.child_id} was lost {evaluation.lost_attempts} times"
        history.record(events.SearchFailed(reason=SearchFailure.EVALUATION_FAILED, detail=detail))
