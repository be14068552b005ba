# SPDX-License-Identifier: Apache-2.0
"""How an iteration gets its children: ids, order, what is drawn again and what is skipped."""

from __future__ import annotations

import pytest
from search_driver import DATASET, RESOURCES, Driver, Fails, ids, make_config, make_start, scripted

from nas.blocks import BLOCKS, BlockType
from nas.canonical import graph_hash
from nas.child import ChildId
from nas.config import TrainingConfig
from nas.notation import format_notation
from nas.operations import PAPER_OPERATIONS, Operation
from nas.search import commands, events
from nas.search.conditions import Resources
from nas.search.control import RejectedError
from nas.search.machine import decide, pending_work
from nas.search.reasons import FailureReason, SearchFailure, StopReason
from nas.search.state import SearchState
from nas.shapes import training_bytes
from nas.transformations import MAX_REDRAWS, SkipReason, transform, valid_transformations

NOTHING_TO_TRANSFORM = "F() FC(2)"
TWO_IDENTITIES = "P(1,1) P(1,1) F() FC(2)"
"""There is nothing to widen."""
ONE_CONVOLUTION = "C(8,3) P(1,1) F() FC(2)"
"""So small that the same net comes up by several ways."""


def _never(*_: object) -> int:
    raise AssertionError("replayed or refused, not drawn")


def _operations(driver: Driver, iteration: int) -> list[Operation]:
    children = [child for child in driver.search.of_iteration(iteration) if child.transformation]
    return [child.transformation.operation for child in children if child.transformation]


def test_a_search_begins_with_its_start() -> None:
    """Anything else is refused while there is no search, and nothing is drawn for it."""
    with pytest.raises(RejectedError, match="there is no such search"):
        decide(None, commands.CancelSearch(), _never)


def test_a_search_starts_once() -> None:
    """A second start is refused and changes nothing."""
    driver = Driver()
    before = driver.search

    with pytest.raises(RejectedError, match="started already"):
        driver.send(make_start(make_config(seed=8)))

    assert before is driver.search


def test_the_start_records_what_the_search_depends_on() -> None:
    """Data, resources and settings are in the first fact, so that a restarted server need not ask again."""
    driver = Driver(start={"warnings": ("few images",), "principal": "ada"})

    started = driver.facts[0]

    assert (
        started
        == driver.search.started
        == events.SearchStarted(
            config=driver.config,
            request_id="r-1",
            dataset=driver.search.started.dataset,
            resources=RESOURCES,
            warnings=("few images",),
            principal="ada",
            software="nas 0",
        )
    )


def test_the_first_facts() -> None:
    """Start, initial model, first iteration, its children: all in one answer, so that no crash comes between."""
    driver = Driver()

    kinds = [type(fact) for fact in driver.facts]

    assert [events.SearchStarted, events.ChildProposed, events.IterationStarted, *[events.ChildProposed] * 4] == kinds
    assert ["0-1", "1-1", "1-2", "1-3", "1-4"] == ids(driver.of(events.ChildProposed))


def test_iteration_one_has_the_initial_model_as_its_only_parent() -> None:
    """Four children, one an operation, in the order of the operations."""
    driver = Driver()

    assert (ChildId(0, 1),) == driver.search.parents
    assert {ChildId(0, 1)} == {child.parent_id for child in driver.search.of_iteration(1)}
    assert [*PAPER_OPERATIONS] == _operations(driver, 1)


def test_later_iterations_have_the_best_childs_children_first() -> None:
    """Y runs over BEST's four children, then over SMALLEST's four."""
    driver = Driver(measure=scripted({"1-3": 90}))
    smallest = min(driver.search.of_iteration(1), key=lambda child: child.param_count).child_id

    driver.run(until_iteration=2)

    children = driver.search.of_iteration(2)
    assert (ChildId(1, 3), smallest) == driver.search.parents
    assert [f"2-{index}" for index in range(1, 9)] == ids(children)
    assert [ChildId(1, 3)] * 4 + [smallest] * 4 == [child.parent_id for child in children]
    assert [*PAPER_OPERATIONS, *PAPER_OPERATIONS] == _operations(driver, 2)


def test_one_successful_child_means_one_parent() -> None:
    """The next iteration has that parent's four children and no more."""
    driver = Driver(faults={(child_id, 1): Fails(FailureReason.DIVERGED) for child_id in ("1-1", "1-2", "1-4")})

    driver.run(until_iteration=2)

    assert (ChildId(1, 3),) == driver.search.parents
    assert ["2-1", "2-2", "2-3", "2-4"] == ids(driver.search.of_iteration(2))


def test_a_skipped_child_leaves_its_id_unused() -> None:
    """The children after it keep the ids that they would have had."""
    driver = Driver(config=make_config(initial=TWO_IDENTITIES))

    skipped = {str(fact.child_id): (fact.operation, fact.reason) for fact in driver.of(events.TransformationSkipped)}

    assert ["1-1", "1-2", "1-4"] == ids(driver.search.of_iteration(1))
    assert {"1-3": (Operation.WIDEN, SkipReason.NO_VALID_ARGUMENT)} == skipped


def test_without_any_child_the_search_fails_at_once() -> None:
    """A net that nothing can be done to ends the search in the answer to its start."""
    driver = Driver(config=make_config(initial=NOTHING_TO_TRANSFORM))

    assert SearchState.FAILED is driver.search.state
    assert SearchFailure.NO_VALID_CHILDREN is driver.search.failure
    assert StopReason.NO_VALID_CHILDREN is driver.search.stop
    assert ["1-1", "1-2", "1-3", "1-4"] == ids(driver.of(events.TransformationSkipped))


@pytest.mark.parametrize(
    ("settings", "resources", "reason"),
    [
        ({"max_parameters": 1_000}, RESOURCES, SkipReason.TOO_MANY_PARAMETERS),
        ({}, Resources(threads=1, memory_limit_bytes=1_000), SkipReason.TOO_MUCH_MEMORY),
    ],
)
def test_what_does_not_fit_is_drawn_again_and_then_skipped(
    settings: dict[str, int], resources: Resources, reason: SkipReason
) -> None:
    """After the first draw there are 16 more for each operation, each with its own index."""
    draws: list[tuple[str, int]] = []

    def draw(child_id: ChildId, index: int, below: int) -> int:
        draws.append((str(child_id), index))
        return index % below

    facts = decide(None, make_start(make_config(**settings), resources=resources), draw)

    assert [reason] * 4 == [fact.reason for fact in facts if isinstance(fact, events.TransformationSkipped)]
    assert [(f"1-{y}", index) for y in range(1, 5) for index in range(MAX_REDRAWS + 1)] == draws


@pytest.mark.parametrize(("less", "expected"), [(0, 1), (1, 0)])
def test_limits_are_inclusive(less: int, expected: int) -> None:
    """A child of exactly ``max_parameters``, or exactly the memory limit, is proposed; one less and it is not."""
    children = Driver().search.of_iteration(1)
    shape, batch_size = DATASET.shape, make_config().training.batch_size
    most = max(child.param_count for child in children)
    memory = max(training_bytes(child.architecture, shape, batch_size) for child in children)

    by_parameters = Driver(config=make_config(max_parameters=most - less))
    by_memory = Driver(start={"resources": Resources(threads=1, memory_limit_bytes=memory - less)})

    counts = [child.param_count for child in by_parameters.search.of_iteration(1)]
    needs = [training_bytes(child.architecture, shape, batch_size) for child in by_memory.search.of_iteration(1)]
    assert (expected, expected) == (counts.count(most), needs.count(memory))


def test_the_batch_size_counts_for_the_memory_limit() -> None:
    """What fits with a small batch is skipped with a large one."""
    limit = {"resources": Resources(threads=1, memory_limit_bytes=1 << 28)}

    small = Driver(config=make_config(training=TrainingConfig(batch_size=8)), start=limit)
    large = Driver(config=make_config(training=TrainingConfig(batch_size=512)), start=limit)

    assert 4 == len(small.search.of_iteration(1))
    assert () == large.search.of_iteration(1)


def test_a_net_that_the_search_has_is_drawn_again() -> None:
    """The first draw gives a graph that is there already, so the argument comes from a later one."""
    driver = Driver(config=make_config(initial="C(8,28) F() FC(2)", max_iterations=9))
    driver.run()

    redrawn = {child for child, index, _ in driver.draws if index} & driver.children.keys()

    assert redrawn
    for child_id in redrawn:
        child = driver.children[child_id]
        assert child.transformation is not None
        assert child.parent_id is not None
        parent = driver.search.children[child.parent_id].architecture
        choices = valid_transformations(
            parent, child.transformation.operation, driver.search.started.dataset.shape, driver.config.block
        )
        first = transform(parent, choices[driver.draw(child.child_id, 0, len(choices))], driver.config.block)
        earlier = {other.graph_hash for other in driver.children.values() if other.child_id < child.child_id}
        assert graph_hash(first) in earlier
        assert child.graph_hash not in earlier


def test_a_net_that_the_search_has_is_skipped_when_nothing_else_is_drawn() -> None:
    """Widening before joining and joining after widening give one net; only the first of them becomes a child."""
    driver = Driver(config=make_config(initial=ONE_CONVOLUTION))
    driver.run()

    (skipped,) = driver.of(events.TransformationSkipped)

    assert (ChildId(2, 8), Operation.CONCAT, SkipReason.DUPLICATE) == (
        skipped.child_id,
        skipped.operation,
        skipped.reason,
    )
    assert "C(40,3) P(1,1)" in format_notation(driver.search.children[skipped.parent_id].architecture)
    assert "C(40,3) P(1,1) Concat() F() FC(2)" == format_notation(driver.children["2-3"].architecture)
    assert [("2-8", index, 1) for index in range(MAX_REDRAWS + 1)] == [d for d in driver.draws if d[0] == "2-8"]


def test_no_net_is_proposed_twice() -> None:
    """Nets are compared as graphs, so pools that do nothing do not make a new one."""
    driver = Driver(config=make_config(initial=TWO_IDENTITIES, max_iterations=9))
    driver.run()

    hashes = [fact.graph_hash for fact in driver.of(events.ChildProposed)]

    assert 50 < len(hashes) == len(set(hashes))


def test_arguments_come_from_the_draw() -> None:
    """The same draws give the same children, others give others; the arguments are in the fact."""
    same, again, other = (Driver(config=make_config(seed=seed)) for seed in (7, 7, 8))

    assert same.children == again.children
    assert same.children != other.children


@pytest.mark.parametrize("block", BlockType)
def test_the_block_of_the_search_is_what_is_added(block: BlockType) -> None:
    """The initial model and add_block have the block that the search was started with."""
    driver = Driver(config=make_config(block=block))

    initial, child = driver.children["0-1"], driver.children["1-2"]

    assert [1, 2] == [
        sum(type(layer) is BLOCKS[block] for layer in each.architecture.layers) for each in (initial, child)
    ]


def test_an_initial_model_of_ones_own() -> None:
    """``initial`` replaces the paper's, and its figures are worked out."""
    driver = Driver(config=make_config(initial="C(4,3) P(2,2) F() FC(2)"))

    initial = driver.children["0-1"]

    assert "C(4,3) P(2,2) F() FC(2)" == format_notation(initial.architecture)
    assert 4 * 10 + 2 * (4 * 13 * 13 + 1) == initial.param_count
    assert (None, None) == (initial.parent_id, initial.transformation)


def test_the_initial_model_is_no_work() -> None:
    """It is proposed and never trained; the work is the first iteration's children, in order."""
    driver = Driver()

    work = pending_work(driver.search)

    assert ["1-1", "1-2", "1-3", "1-4"] == [str(item.child_id) for item in work]
    assert () == driver.send(commands.LaunchAttempt(child_id=ChildId(0, 1)))
