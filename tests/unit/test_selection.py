# SPDX-License-Identifier: Apache-2.0
"""Ranking, the two roles with their explanation, the Pareto front and the decline."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from nas.child import ChildId, Evaluation
from nas.config import SelectionMetric
from nas.selection import Choice, Contender, Role, Rule, TieBreak, has_declined, rank, select

ACCURACY = SelectionMetric.ACCURACY


def _contender(child_id: str, correct: int, param_count: int, loss: float = 0.1) -> Contender:
    """A child with ``correct`` of 10 images right."""
    evaluation = Evaluation(loss=loss, correct=(correct,), total=(10,))
    return Contender(child_id=ChildId.parse(child_id), param_count=param_count, evaluation=evaluation)


def _ids(contenders: tuple[Contender, ...]) -> list[str]:
    return [str(contender.child_id) for contender in contenders]


def test_rank() -> None:
    """Finite loss, then the higher metric, then fewer parameters, then the lower id as numbers."""
    contenders = [
        _contender("2-1", 10, 1, loss=math.nan),
        _contender("2-2", 10, 1, loss=math.inf),
        _contender("2-10", 7, 50),
        _contender("2-9", 7, 50),
        _contender("2-3", 8, 90),
        _contender("2-4", 7, 40),
        _contender("2-5", 3, 1),
    ]

    assert ["2-3", "2-4", "2-9", "2-10", "2-5", "2-1", "2-2"] == _ids(rank(contenders, ACCURACY))


def test_metrics_are_compared_exactly() -> None:
    """One image in 10**18 decides, though both accuracies are the same as floating-point numbers."""
    images = 10**18
    better, worse = (
        Contender(
            child_id=ChildId(1, index),
            param_count=5,
            evaluation=Evaluation(loss=0.1, correct=(images - index + 1,), total=(images + 1,)),
        )
        for index in (1, 2)
    )

    best = select([worse, better], ACCURACY)[0]

    assert float(better.evaluation.accuracy) == float(worse.evaluation.accuracy)
    assert (better.child_id, TieBreak.NONE) == (best.child_id, best.tie_break)


def test_the_metric_decides() -> None:
    """Accuracy and balanced accuracy may choose different children."""
    lazy = Contender(
        child_id=ChildId(1, 1), param_count=1, evaluation=Evaluation(loss=0.1, correct=(80, 0), total=(80, 20))
    )
    fair = Contender(
        child_id=ChildId(1, 2), param_count=1, evaluation=Evaluation(loss=0.1, correct=(56, 14), total=(80, 20))
    )

    by_accuracy = select([lazy, fair], SelectionMetric.ACCURACY)[0]
    by_balanced_accuracy = select([lazy, fair], SelectionMetric.BALANCED_ACCURACY)[0]

    assert (lazy.child_id, 0.8) == (by_accuracy.child_id, by_accuracy.metric_value)
    assert (fair.child_id, 0.7) == (by_balanced_accuracy.child_id, by_balanced_accuracy.metric_value)


def test_two_choices() -> None:
    """BEST and SMALLEST are explained by rule, value, runner-up and margin."""
    contenders = [_contender("1-1", 6, 300), _contender("1-2", 9, 500), _contender("1-3", 8, 400)]

    choices = select(contenders, ACCURACY)

    best = Choice(
        role=Role.BEST,
        rule=Rule.HIGHEST_METRIC,
        child_id=ChildId(1, 2),
        metric_value=0.9,
        param_count=500,
        runner_up=ChildId(1, 3),
        margin=0.1,
        tie_break=TieBreak.NONE,
    )
    smallest = Choice(
        role=Role.SMALLEST,
        rule=Rule.FEWEST_PARAMETERS,
        child_id=ChildId(1, 1),
        metric_value=0.6,
        param_count=300,
        runner_up=ChildId(1, 3),
        margin=100.0,
        tie_break=TieBreak.NONE,
    )
    assert (best, smallest) == choices


def test_two_distinct_parents() -> None:
    """SMALLEST is sought among the others, even if BEST is also the smallest of all."""
    best, smallest = select([_contender("1-1", 9, 100), _contender("1-2", 8, 300), _contender("1-3", 7, 200)], ACCURACY)

    assert (ChildId(1, 1), ChildId(1, 3)) == (best.child_id, smallest.child_id)
    assert (ChildId(1, 2), 100.0) == (smallest.runner_up, smallest.margin)


def test_one_contender() -> None:
    """One child is BEST alone, with nobody to compare it with."""
    (best,) = select([_contender("1-4", 5, 100)], ACCURACY)

    assert (Role.BEST, ChildId(1, 4)) == (best.role, best.child_id)
    assert (None, None, TieBreak.NONE) == (best.runner_up, best.margin, best.tie_break)


def test_two_contenders() -> None:
    """With two children the second is SMALLEST without a runner-up, however large it is."""
    best, smallest = select([_contender("1-1", 9, 100), _contender("1-2", 8, 300)], ACCURACY)

    assert (ChildId(1, 1), ChildId(1, 2), 0.1) == (best.child_id, best.runner_up, best.margin)
    assert (ChildId(1, 2), None, None) == (smallest.child_id, smallest.runner_up, smallest.margin)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_not_finite(loss: float) -> None:
    """A child whose loss is not finite is neither chosen nor a runner-up."""
    diverged = [_contender("1-1", 10, 1, loss=loss), _contender("1-2", 10, 2, loss=loss)]
    sound = _contender("1-3", 1, 900)

    (best,) = select([*diverged, sound], ACCURACY)

    assert (sound.child_id, None) == (best.child_id, best.runner_up)
    assert () == select(diverged, ACCURACY)


def test_nothing_to_select() -> None:
    """No children, no choice."""
    assert () == select([], ACCURACY)


@pytest.mark.parametrize(
    ("other", "tie_break"),
    [
        (_contender("1-1", 9, 200), TieBreak.PARAM_COUNT),
        (_contender("1-10", 9, 100), TieBreak.CHILD_ID),
        (_contender("1-1", 8, 100), TieBreak.NONE),
    ],
)
def test_what_decided_best(other: Contender, tie_break: TieBreak) -> None:
    """A tie in the metric goes to fewer parameters, then to the lower id as numbers."""
    best = select([other, _contender("1-2", 9, 100)], ACCURACY)[0]

    assert (ChildId(1, 2), other.child_id, tie_break) == (best.child_id, best.runner_up, best.tie_break)
    assert (best.margin == 0) == (tie_break is not TieBreak.NONE)


@pytest.mark.parametrize(
    ("other", "tie_break"),
    [
        (_contender("1-1", 6, 100), TieBreak.METRIC),
        (_contender("1-10", 7, 100), TieBreak.CHILD_ID),
        (_contender("1-1", 8, 101), TieBreak.NONE),
    ],
)
def test_what_decided_smallest(other: Contender, tie_break: TieBreak) -> None:
    """A tie in parameters goes to the higher metric, then to the lower id as numbers."""
    smallest = select([_contender("1-9", 9, 100), other, _contender("1-2", 7, 100)], ACCURACY)[1]

    assert (ChildId(1, 2), other.child_id, tie_break) == (smallest.child_id, smallest.runner_up, smallest.tie_break)
    assert (smallest.margin == 0) == (tie_break is not TieBreak.NONE)


@pytest.mark.parametrize(
    ("best", "previous_best", "expected"),
    [
        (Fraction(1, 2), None, False),
        (Fraction(1, 2), Fraction(1, 2), False),
        (Fraction(1, 2), Fraction(1, 3), False),
        (Fraction(1, 2), Fraction(10**18 + 1, 2 * 10**18), True),
    ],
)
def test_decline(best: Fraction, previous_best: Fraction | None, expected: bool) -> None:
    """Only a metric strictly below the previous iteration's is a decline; the first iteration cannot decline."""
    assert expected is has_declined(best, previous_best)
