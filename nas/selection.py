# SPDX-License-Identifier: Apache-2.0
"""Which children become parents: BEST by the metric, SMALLEST by parameters, and why (paper section III.C).

Everything is compared exactly: metrics are fractions of counted images, parameters integers, ids pairs of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from nas.child import ChildId, Evaluation
from nas.config import SelectionMetric


class Role(Enum):
    """What a child was selected as."""

    BEST = "best"
    SMALLEST = "smallest"


class Rule(Enum):
    """By what a child is chosen for a role."""

    HIGHEST_METRIC = "highest_metric"
    FEWEST_PARAMETERS = "fewest_parameters"


class TieBreak(Enum):
    """What decided between the chosen child and the runner-up if the rule found them equal; NONE if it did not."""

    NONE = "none"
    METRIC = "metric"
    PARAM_COUNT = "param_count"
    CHILD_ID = "child_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A child that can be selected because its training has finished."""

    child_id: ChildId
    param_count: int
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One selected child with the reason.

    Attributes:
        metric_value: the chosen child's, in [0, 1].
        runner_up: the child that would have been chosen without this one; None if there was no other.
        margin: distance to the runner-up, 0 on a tie: in the metric for BEST, in parameters for SMALLEST.
    """

    role: Role
    rule: Rule
    child_id: ChildId
    metric_value: float
    param_count: int
    runner_up: ChildId | None
    margin: float | None
    tie_break: TieBreak


def rank(contenders: Iterable[Contender], metric: SelectionMetric) -> tuple[Contender, ...]:
    """Order children best first: finite loss, higher metric, fewer parameters, lower id."""
    return tuple(
        sorted(
            contenders,
            key=lambda c: (not c.evaluation.is_finite, -c.evaluation.value(metric), c.param_count, c.child_id),
        )
    )


def select(contenders: Iterable[Contender], metric: SelectionMetric) -> tuple[Choice, ...]:
    """Select the parents of the next iteration: BEST, then SMALLEST among the others.

    A child whose loss is not finite is never chosen, so there are two, one or no choices.
    """
    ranked = [contender for contender in rank(contenders, metric) if contender.evaluation.is_finite]
    if not ranked:
        return ()
    best = _choose_best(ranked, metric)
    others = ranked[1:]
    return (best, _choose_smallest(others, metric)) if others else (best,)


def has_declined(best: Fraction, previous_best: Fraction | None) -> bool:
    """Whether an iteration's best metric fell strictly below that of the iteration before (paper section III.D)."""
    return previous_best is not None and best < previous_best


def _choose_best(ranked: list[Contender], metric: SelectionMetric) -> Choice:
    chosen = ranked[0]
    runner_up = ranked[1] if len(ranked) > 1 else None
    margin, tie_break = None, TieBreak.NONE
    if runner_up is not None:
        difference = chosen.evaluation.value(metric) - runner_up.evaluation.value(metric)
        margin = float(difference)
        if not difference:
            tie_break = TieBreak.PARAM_COUNT if chosen.param_count < runner_up.param_count else TieBreak.CHILD_ID
    return Choice(
        role=Role.BEST,
        rule=Rule.HIGHEST_METRIC,
        child_id=chosen.child_id,
        metric_value=float(chosen.evaluation.value(metric)),
        param_count=chosen.param_count,
        runner_up=None if runner_up is None else runner_up.child_id,
        margin=margin,
        tie_break=tie_break,
    )


def _choose_smallest(ranked: list[Contender], metric: SelectionMetric) -> Choice:
    # The sort is stable, so among equals in parameters the order of the ranking stays: higher metric, then lower id.
    chosen, *rest = sorted(ranked, key=lambda contender: contender.param_count)
    runner_up = rest[0] if rest else None
    margin, tie_break = None, TieBreak.NONE
    if runner_up is not None:
        difference = runner_up.param_count - chosen.param_count
        margin = float(difference)
        if not difference:
            is_better = chosen.evaluation.value(metric) > runner_up.evaluation.value(metric)
            tie_break = TieBreak.METRIC if is_better else TieBreak.CHILD_ID
    return Choice(
        role=Role.SMALLEST,
        rule=Rule.FEWEST_PARAMETERS,
        child_id=chosen.child_id,
        metric_value=float(chosen.evaluation.value(metric)),
        param_count=chosen.param_count,
        runner_up=None if runner_up is None else runner_up.child_id,
        margin=margin,
        tie_break=tie_break,
    )
