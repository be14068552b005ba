# SPDX-License-Identifier: Apache-2.0
"""Early stopping as a fold over validation losses."""

from __future__ import annotations

import pytest

from nas.child import EpochResult, Evaluation
from nas.training.early_stopping import EarlyStopping


def _observe(losses: list[float], patience: int = 2) -> EarlyStopping:
    state = EarlyStopping(patience=patience)
    for epoch, loss in enumerate(losses, start=1):
        state = state.observe(epoch, loss)
    return state


@pytest.mark.parametrize(
    ("losses", "is_exhausted"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.6], False),
        ([0.5, 0.6, 0.6], True),
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.6, 0.4, 0.5], False),
        ([0.5, 0.6, 0.4, 0.5, 0.4], True),
    ],
)
def test_two_epochs_in_a_row_without_a_lower_loss_exhaust_a_patience_of_two(
    losses: list[float], is_exhausted: bool
) -> None:
    """Equal is no improvement, and any improvement starts the count again."""
    assert is_exhausted == _observe(losses).is_exhausted


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_patience_counts_epochs(patience: int) -> None:
    """The last epoch that may be trained is ``patience`` after the best."""
    assert not _observe([0.1] + [0.2] * (patience - 1), patience).is_exhausted
    assert _observe([0.1] + [0.2] * patience, patience).is_exhausted


@pytest.mark.parametrize(
    ("losses", "best_epoch"), [([], 0), ([0.5, 0.4, 0.4], 2), ([0.5, 0.4, 0.3], 3), ([0.3, 0.5], 1)]
)
def test_best_is_the_lowest_loss_and_the_earliest_on_a_tie(losses: list[float], best_epoch: int) -> None:
    """A later epoch with an equal loss does not replace the best."""
    assert best_epoch == _observe(losses).best_epoch


def test_the_smallest_difference_is_a_gain() -> None:
    """The minimal gain is zero: one unit in the last place is enough."""
    lower = 0.49999999999999994

    assert lower < 0.5
    assert 2 == _observe([0.5, lower]).best_epoch


def test_a_history_gives_the_state_that_the_epochs_gave() -> None:
    """A resumed training knows what the interrupted one knew."""
    losses = [0.5, 0.6, 0.4, 0.4]
    history = [
        EpochResult(
            epoch=epoch,
            training_loss=1.0,
            validation=Evaluation(loss=loss, correct=(1,), total=(1,)),
            seconds=1.0,
            images_per_second=1.0,
        )
        for epoch, loss in enumerate(losses, start=1)
    ]

    assert _observe(losses) == EarlyStopping(patience=2).observe_all(history)
