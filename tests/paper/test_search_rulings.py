# SPDX-License-Identifier: Apache-2.0
"""How the paper's search goes; each test quotes it, or says that it is silent, and admits where we deviate."""

from __future__ import annotations

from search_driver import Driver, Fails, ids, make_config, make_evaluation, make_start, scripted

from nas.blocks import BlockType, SEInception
from nas.canonical import graph_hash
from nas.child import ChildId
from nas.config import SearchConfig
from nas.layers import Concat, Conv
from nas.notation import format_notation
from nas.operations import Operation
from nas.search import commands, events
from nas.search.machine import decide, pending_work, running_attempts
from nas.search.reasons import AttemptKind, FailureReason, LostReason, SearchFailure, StopReason
from nas.search.state import ChildState, SearchState
from nas.selection import Role
from nas.transformations import MAX_REDRAWS

PAPER = SearchConfig(dataset="mnist", block=BlockType.INCEPTION)
"""Nothing but the paper's defaults."""


def _operations(driver: Driver, iteration: int) -> list[Operation]:
    children = driver.search.of_iteration(iteration)
    return [child.transformation.operation for child in children if child.transformation is not None]


def test_a_child_is_designated_by_a_pair() -> None:
    """'designated by a pair (x-y) which states for "The y model from iteration x"', section III.D.

    Y counts from 1; Fig. 4 puts the initial model at the head, which is 0-1 here.
    """
    driver = Driver()

    driver.run(until_iteration=2)

    proposed = ids(driver.of(events.ChildProposed))
    assert ["0-1", *(f"1-{y}" for y in range(1, 5)), *(f"2-{y}" for y in range(1, 9))] == proposed


def test_the_initial_model() -> None:
    """'Convolution layer -> Pooling layer -> Designated block -> Pooling layer -> Flatten layer', section III.D."""
    plain = Driver(PAPER).children["0-1"]
    squeezed = Driver(make_config(block=BlockType.SE_INCEPTION)).children["0-1"]

    assert "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(2)" == format_notation(plain.architecture)
    assert "C(64,3) P(1,1) SEIB(32,64,128,16,32,32) P(1,1) F() FC(2)" == format_notation(squeezed.architecture)


def test_the_initial_model_is_not_trained() -> None:
    """'"children" models are generated and then trained', section III.D.

    Deviation: Table II trains M itself. Here it is proposed and no more, so it is neither selected nor returned, and
    the first comparison of iterations is that of 2 with 1.
    """
    driver = Driver()

    driver.run()

    initial = driver.children["0-1"]
    assert (ChildState.PROPOSED, 0, None) == (initial.state, initial.attempts, initial.evaluation)
    assert "0-1" not in ids(driver.of(events.AttemptLaunched))
    assert driver.of(events.ChildrenSelected)[0].previous_best is None


def test_a_single_iteration_generates_eight_architectures() -> None:
    """'A single iteration generates 8 architectures', section III.A: four of each of two parents.

    Deviation: the first iteration has one parent, the initial model, and therefore four.
    """
    driver = Driver(make_config(max_iterations=3))

    driver.run()

    assert [4, 8, 8] == [len(driver.search.of_iteration(iteration)) for iteration in (1, 2, 3)]


def test_the_transformations_run_on_the_initial_then_on_the_selected_models() -> None:
    """'first run on the initial model to generate children models, and then run on selected models', section III.A.

    The paper gives no order among a parent's children, nor among parents: here the order of its list, BEST's first.
    """
    driver = Driver()

    driver.run(until_iteration=2)

    (selected,) = driver.of(events.ChildrenSelected)
    parents = [choice.child_id for choice in selected.choices]
    assert [ChildId(0, 1)] * 4 == [child.parent_id for child in driver.search.of_iteration(1)]
    assert [parents[0]] * 4 + [parents[1]] * 4 == [child.parent_id for child in driver.search.of_iteration(2)]
    expected = [Operation.ADD_LAYER, Operation.ADD_BLOCK, Operation.WIDEN, Operation.CONCAT]
    assert (expected, expected * 2) == (_operations(driver, 1), _operations(driver, 2))


def test_a_transformation_that_finds_nothing_new_is_skipped() -> None:
    """'defined as a technique for generating new knowledge from previously validated one', section III.A.

    The paper is silent on nets that come up again. Here a graph that the search has, or that is over a limit, is drawn
    again up to 16 times; then the iteration has a child fewer, and the reason is a fact.
    """
    driver = Driver(make_config(initial="C(8,3) P(1,1) F() FC(2)"))

    driver.run()

    (skipped,) = driver.of(events.TransformationSkipped)
    hashes = [graph_hash(child.architecture) for child in driver.search.children.values()]
    assert (ChildId(2, 8), Operation.CONCAT) == (skipped.child_id, skipped.operation)
    assert ["2-1", "2-2", "2-3", "2-4", "2-5", "2-6", "2-7"] == ids(driver.search.of_iteration(2))
    assert MAX_REDRAWS + 1 == 17 == sum(child == "2-8" for child, _, _ in driver.draws)
    assert len(hashes) == len(set(hashes))


def test_best_and_smallest_model_pass_on() -> None:
    """'The best model is then selected on the basis of model accuracy, and the smallest model is the one with the
    fewest parameters', section III.C.

    Deviation: both are children of the iteration that ends. Their parents do not compete again, even where they are
    better and smaller, as here, and SMALLEST is chosen among the others, so that there are two.
    """  # noqa: D205 - the quotation is longer than a line
    driver = Driver(make_config(max_iterations=3), scripted({"1-1": 95, "2": 95}))

    driver.run()

    first, second, _ = driver.of(events.ChildrenSelected)
    sizes = {child.child_id: child.param_count for child in driver.search.of_iteration(2)}
    best, smallest = second.choices
    assert ChildId(1, 1) == first.choices[0].child_id
    assert [Role.BEST, Role.SMALLEST] == [best.role, smallest.role]
    assert {2} == {best.child_id.iteration, smallest.child_id.iteration}
    assert [best.child_id, smallest.child_id] == sorted(sizes, key=lambda child_id: (sizes[child_id], child_id))[:2]


def test_the_search_ends_when_the_accuracy_begins_to_decline() -> None:
    """'n^th best model's accuracy is less than n-1^th best model's accuracy', section III.D: of two iterations.

    One image of a hundred is enough.
    """
    driver = Driver(make_config(max_iterations=9), scripted({"1": 90, "2": 91, "3": 90}))

    driver.run()

    (stopped,) = driver.of(events.StoppingCriterionMet)
    assert events.StoppingCriterionMet(reason=StopReason.ACCURACY_DECLINED, iteration=3) == stopped
    assert 0.91 == driver.search.selections[-1].previous_best


def test_an_equal_accuracy_is_no_decline() -> None:
    """'less than', section III.D, is strict, so a search whose accuracy stays ends by its cap alone."""
    driver = Driver(make_config(max_iterations=5), scripted({}))

    driver.run()

    assert (StopReason.MAX_ITERATIONS, 5) == (driver.search.stop, driver.search.iteration)


def test_the_first_iteration_cannot_decline() -> None:
    """'n-1^th', section III.D: there is nothing before the first, however bad it is."""
    driver = Driver(make_config(max_iterations=2), scripted({"1": 0, "2": 0}))

    driver.run(until_iteration=2)

    assert driver.search.stop is None


def test_the_output_is_the_best_child_of_the_whole_search() -> None:
    """'The output is then the last best model generated', section III.D.

    Deviation: taken literally that is the best of the iteration that declined. Here it is the best of all iterations.
    """
    driver = Driver(make_config(max_iterations=9), scripted({"1-2": 97, "2": 96}))

    driver.run()

    assert events.SearchSucceeded(reason=StopReason.ACCURACY_DECLINED, winner=ChildId(1, 2)) == driver.facts[-1]


def test_a_diverged_training_cannot_keep_the_search_alive() -> None:
    """'less than', section III.D, is never true of NaN.

    The paper is silent on diverged trainings. Here such a child has failed in the epoch in which it happens, is never
    selected, and an iteration of nothing else ends the search: with a result if there is an incumbent, else without.
    """
    nan = Fails(FailureReason.DIVERGED)
    first = Driver(faults={(f"1-{y}", 1): nan for y in range(1, 5)})
    second = Driver(make_config(max_iterations=9), faults={(f"2-{y}", 1): nan for y in range(1, 9)})

    first.run()
    second.run()

    assert (SearchState.FAILED, SearchFailure.NO_VALID_CHILDREN) == (first.search.state, first.search.failure)
    assert (SearchState.SUCCEEDED, StopReason.NO_VALID_CHILDREN) == (second.search.state, second.search.stop)


def test_twelve_hours() -> None:
    """'The running time was limited to 12 hours', section IV; 'we reach the time limit', section IV.F."""
    assert 12 * 60 * 60 == PAPER.time_budget_seconds


def test_the_time_limit_ends_the_search_with_a_result() -> None:
    """'It would be possible to reach a better accuracy if the solution had run for more time', section IV.F.

    So the paper returns what it has by then. Here: running children are cancelled, the partial iteration is not
    selected, its finished children may be the result, and the result is evaluated beyond the limit.
    """
    driver = Driver(PAPER, scripted({"1": 80, "2-1": 85, "2-2": 20}))
    driver.run(until_iteration=2)
    driver.attempt("2-1")
    driver.attempt("2-2")
    running = driver.launch("2-3")

    driver.send(commands.ReachTimeBudget())
    wanted, out = pending_work(driver.search), running_attempts(driver.search)
    driver.lose(LostReason.CANCELLED)
    driver.run()

    assert ((), (running,)) == (wanted, out)
    assert [1] == [selected.iteration for selected in driver.search.selections]
    assert [ChildState.CANCELLED] * 6 == [driver.children[f"2-{y}"].state for y in range(3, 9)]
    assert events.SearchSucceeded(reason=StopReason.TIME_BUDGET, winner=ChildId(2, 1)) == driver.facts[-1]


def test_caps() -> None:
    """The paper has no limit but the 12 hours. Here: iterations, attempts a child, failed children, parameters."""
    assert (30, 3, 16, 50_000_000) == (
        PAPER.max_iterations,
        PAPER.max_attempts,
        PAPER.max_failed_children,
        PAPER.max_parameters,
    )


def test_selection_never_sees_the_test_set() -> None:
    """'60,000 images in the training set and 10,000 images in the test set', section IV.A: no validation part is named.

    Deviation: children are compared on the validation part. The test part is read once, for the winner, after the
    search has stopped; what it shows changes nothing.
    """
    driver = Driver(make_config(max_iterations=2), scripted({"1-2": 97}))
    driver.run(until_stop=True)
    before = [fact.kind for fact in driver.of(events.AttemptLaunched)]
    work = driver.launch("1-2")

    driver.send(commands.ReportEvaluated(child_id=work.child_id, attempt=2, evaluation=make_evaluation(1)))

    assert {AttemptKind.TRAINING} == set(before)
    assert [AttemptKind.TEST_EVALUATION] == [fact.kind for fact in driver.of(events.AttemptLaunched)][len(before) :]
    assert events.SearchSucceeded(reason=StopReason.ACCURACY_DECLINED, winner=ChildId(1, 2)) == driver.facts[-1]


def test_table_i() -> None:
    """Table I: add_layer(4, kernel 3), add_block(3), widen(3, by 32), concat(4) of M, as a search proposes them.

    The draws that lead there are part of this test: the position of each operation among its valid arguments.
    """
    wanted = {"1-1": 6, "1-2": 2, "1-3": 1, "1-4": 2}

    facts = decide(None, make_start(PAPER), lambda child_id, _, below: wanted[str(child_id)] % below)

    proposed = {str(fact.child_id): fact.architecture for fact in facts if isinstance(fact, events.ChildProposed)}
    assert "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) C(64,3) P(1,1) F() FC(2)" == format_notation(proposed["1-1"])
    assert "C(64,3) P(1,1) IB(32,64,128,16,32,32) IB(32,64,128,16,32,32) P(1,1) F() FC(2)" == format_notation(
        proposed["1-2"]
    )
    assert "C(64,3) P(1,1) IB(64,64,160,16,64,64) P(1,1) F() FC(2)" == format_notation(proposed["1-3"])
    assert "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) Concat() F() FC(2)" == format_notation(proposed["1-4"])
    assert isinstance(proposed["1-4"].layers[4], Concat)
    assert isinstance(proposed["1-1"].layers[4], Conv)
    assert not any(isinstance(layer, SEInception) for layer in proposed["1-2"].layers)
