# SPDX-License-Identifier: Apache-2.0
"""Selection on arbitrary children: a total order whatever NaN, infinities and ties there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import contenders

from nas.config import SelectionMetric
from nas.selection import Contender, Role, rank, select

_METRICS = st.sampled_from((SelectionMetric.ACCURACY, SelectionMetric.BALANCED_ACCURACY))


@given(contenders(), _METRICS, st.data())
def test_order_of_arrival(children: list[Contender], metric: SelectionMetric, data: st.DataObject) -> None:
    """Ranking and selection are the same in whatever order the children finish."""
    shuffled = data.draw(st.permutations(children))

    assert rank(children, metric) == rank(shuffled, metric)
    assert select(children, metric) == select(shuffled, metric)


@given(contenders(), _METRICS)
def test_rank_is_a_total_order(children: list[Contender], metric: SelectionMetric) -> None:
    """The order of any two children is the same whoever else is ranked, and nobody is lost."""
    ranked = rank(children, metric)

    assert sorted(child.child_id for child in children) == sorted(child.child_id for child in ranked)
    for at, one in enumerate(ranked):
        for other in ranked[at + 1 :]:
            assert (one, other) == rank([other, one], metric)


@given(contenders(), _METRICS)
def test_choices(children: list[Contender], metric: SelectionMetric) -> None:
    """BEST has the highest metric of the finite ones and SMALLEST the fewest parameters of the others."""
    finite = [child for child in children if child.evaluation.is_finite]

    choices = select(children, metric)

    assert [Role.BEST, Role.SMALLEST][: len(finite)] == [choice.role for choice in choices]
    if finite:
        assert float(max(child.evaluation.value(metric) for child in finite)) == choices[0].metric_value
    if len(finite) >= 2:
        others = [child for child in finite if child.child_id != choices[0].child_id]
        assert min(child.param_count for child in others) == choices[1].param_count
        assert choices[1].child_id in {child.child_id for child in others}
