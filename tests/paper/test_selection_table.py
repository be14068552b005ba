# SPDX-License-Identifier: Apache-2.0
"""Selection on the numbers of Table III."""

from __future__ import annotations

from fractions import Fraction

from nas.child import ChildId, Evaluation
from nas.config import SelectionMetric
from nas.selection import Contender, Role, TieBreak, has_declined, select

M_0, M_1, M_2, M_3 = (ChildId(1, index) for index in (1, 2, 3, 4))

TABLE_III = {
    M_0: (9843, 0.0851, 543_738),
    M_1: (9865, 0.0708, 1_730_026),
    M_2: (9842, 0.0831, 2_104_858),
    M_3: (9868, 0.0741, 3_125_178),
}
"""Accuracy as correct images of MNIST's 10,000, loss, parameters."""


def _contenders() -> list[Contender]:
    return [
        Contender(
            child_id=child_id,
            param_count=param_count,
            evaluation=Evaluation(loss=loss, correct=(correct,), total=(10_000,)),
        )
        for child_id, (correct, loss, param_count) in TABLE_III.items()
    ]


def test_table_iii() -> None:
    """M_3 and M_0 are selected, where the paper's text says M_1 and M_0.

    "Based on the results given in table III, M_0 model will be selected, as it has the smallest number of parameters.
    The M_1 model will also be selected as it represents the best model in terms of accuracy." By the table M_3 is the
    best in terms of accuracy, 98.68 % against 98.65 %; M_1 has only the lowest loss. We follow the rule of section
    III.C, "The best model is then selected on the basis of model accuracy". Reference: section IV.D.3.
    """
    best, smallest = select(_contenders(), SelectionMetric.ACCURACY)

    assert (Role.BEST, M_3, 0.9868) == (best.role, best.child_id, best.metric_value)
    assert (M_1, 0.0003, TieBreak.NONE) == (best.runner_up, best.margin, best.tie_break)
    assert (Role.SMALLEST, M_0, 543_738) == (smallest.role, smallest.child_id, smallest.param_count)
    assert (M_1, 1_186_288, TieBreak.NONE) == (smallest.runner_up, smallest.margin, smallest.tie_break)


def test_decline_ends_the_search() -> None:
    """'n^th best model's accuracy is less than n-1^th best model's accuracy': strictly, section III.D."""
    assert has_declined(Fraction(9865, 10_000), Fraction(9868, 10_000))
    assert not has_declined(Fraction(9868, 10_000), Fraction(9868, 10_000))
