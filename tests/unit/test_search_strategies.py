# SPDX-License-Identifier: Apache-2.0
"""What a strategy may decide beside the paper's rule, and what the driver does with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from search_driver import Driver, ids, make_config

from nas.child import INITIAL_CHILD, ChildId
from nas.config import TrainingConfig
from nas.notation import parse_notation
from nas.operations import Operation
from nas.search import events, progress, retention
from nas.search.machine import pending_work
from nas.search.reasons import StopReason
from nas.search.retention import retained
from nas.search.state import Search, SearchState
from nas.search.strategies import STRATEGIES
from nas.search.strategies.base import Decision, DerivedChild, GivenChild, Propose, Stop, Wait
from nas.settings import ConfigError
from server.codec.settings import decode_journaled, encode_journaled


class Scripted:
    """Decides by a function and keeps the weights of everything that was trained."""

    def __init__(self, decide: Callable[[Search], Decision]) -> None:
        self.step = decide

    def keeps(self, search: Search) -> frozenset[ChildId]:
        """Keep all but the initial model."""
        return frozenset(search.children.keys() - {INITIAL_CHILD})


def _start(monkeypatch: pytest.MonkeyPatch, decide: Callable[[Search], Decision]) -> Driver:
    strategies = {**STRATEGIES, "scripted": Scripted(decide)}
    for module in (progress, retention):
        monkeypatch.setattr(module, "STRATEGIES", strategies)
    return Driver(make_config(strategy="scripted", initial="C(8,28) F() FC(2)", training=TrainingConfig(max_epochs=1)))


def _given(iteration: int, *nets: str) -> Propose:
    children = tuple(
        GivenChild(child_id=ChildId(iteration, y), architecture=parse_notation(net)) for y, net in enumerate(nets, 1)
    )
    return Propose(iteration=iteration, parents=(), children=children)


def test_a_strategy_can_make_the_nets_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no parent, and the best of them is the result without any selection."""

    def decide(search: Search) -> Decision:
        if search.iteration == 0:
            return _given(1, "C(4,28) F() FC(2)", "C(16,28) F() FC(2)")
        return Wait() if search.unfinished else Stop(reason=StopReason.MAX_ITERATIONS)

    driver = _start(monkeypatch, decide)
    driver.run()

    assert [None, None, None] == [fact.parent_id for fact in driver.of(events.ChildProposed)]
    assert SearchState.SUCCEEDED is driver.search.state
    assert [] == driver.of(events.ChildrenSelected)
    assert {"1-1", "1-2"} == {str(child_id) for child_id in retained(driver.search).weights}


def test_children_of_several_iterations_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy need not wait for an iteration; what waits is launched in the order of the ids."""

    def decide(search: Search) -> Decision:
        if search.iteration < 2:
            return _given(search.iteration + 1, *(f"C({search.iteration + w},28) F() FC(2)" for w in (4, 16)))
        return Wait() if search.unfinished else Stop(reason=StopReason.MAX_ITERATIONS)

    driver = _start(monkeypatch, decide)

    assert ["1-1", "1-2", "2-1", "2-2"] == ids(pending_work(driver.search))
    driver.attempt("2-1")
    assert ["1-1", "1-2", "2-2"] == ids(pending_work(driver.search))
    driver.run()
    assert SearchState.SUCCEEDED is driver.search.state
    assert {"1-1", "1-2", "2-1", "2-2"} == {str(child_id) for child_id in retained(driver.search).weights}


def test_a_skipped_child_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a strategy knows which ids are used up, and that a parent has no more such children."""

    def decide(search: Search) -> Decision:
        if search.iteration == 0:
            child = DerivedChild(child_id=ChildId(1, 1), parent_id=INITIAL_CHILD, operation=Operation.CONCAT)
            return Propose(iteration=1, parents=(INITIAL_CHILD,), children=(child,))
        return Wait() if search.unfinished else Stop(reason=StopReason.NO_VALID_CHILDREN)

    driver = _start(monkeypatch, decide)

    assert (ChildId(1, 1),) == driver.search.skipped
    assert SearchState.FAILED is driver.search.state


def test_a_search_takes_the_operations_of_its_settings_in_their_order() -> None:
    """The paper's four are the default; each can stand once."""
    driver = Driver(make_config(operations=(Operation.CONCAT, Operation.WIDEN), max_iterations=1))

    children = driver.search.of_iteration(1)
    kinds = [type(child.transformation).__name__ for child in children]
    assert ["AddConcat", "Widen"] == kinds
    with pytest.raises(ConfigError, match="operations must name each operation once"):
        make_config(operations=(Operation.WIDEN, Operation.WIDEN))


def test_a_search_with_operations_for_smallness_shrinks() -> None:
    """Some child has fewer parameters than the initial model, which the paper's four cannot give."""
    driver = Driver(make_config(operations=(Operation.NARROW, Operation.REMOVE_LAYER, Operation.ADD_POOL)))
    driver.run()

    initial, *children = driver.search.children.values()
    assert SearchState.SUCCEEDED is driver.search.state
    assert min(child.param_count for child in children) < initial.param_count
    assert {"AddPool", "Narrow", "RemoveLayer"} == {type(child.transformation).__name__ for child in children}


def test_defaults_are_not_in_the_journal() -> None:
    """Journals of searches that use neither setting stay byte for byte what they were."""
    message = encode_journaled(make_config())

    assert ("", []) == (message.strategy, list(message.operations))
    assert make_config() == decode_journaled(message)
    changed = make_config(strategy="other", operations=(Operation.WIDEN,))
    assert changed == decode_journaled(encode_journaled(changed))
