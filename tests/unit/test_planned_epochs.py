# SPDX-License-Identifier: Apache-2.0
"""A floor of steps: how many epochs it takes, and that training and search keep to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_driver import DATASET, Driver, make_config
from tiny_training import Stopper, make_data, make_request, run_fit, without_times

from nas.api.v1 import search_pb2
from nas.config import TrainingConfig
from nas.recipe import Schedule, planned_epochs
from nas.search.state import ChildState, SearchState
from nas.training import Trained

TRAIN_IMAGES = sum(DATASET.counts.train)


@pytest.mark.parametrize(
    ("max_epochs", "min_steps", "images", "epochs"),
    [(10, 0, 100, 10), (10, 20, 100, 10), (10, 21, 100, 11), (10, 600, 300, 120), (10, 30, 1, 30), (1, 1, 100, 1)],
)
def test_epochs_rise_with_the_floor(max_epochs: int, min_steps: int, images: int, epochs: int) -> None:
    """In the domain and on the wire; a last batch that is not full is a step, too."""
    training = TrainingConfig(max_epochs=max_epochs, min_steps=min_steps, batch_size=64)
    message = search_pb2.TrainingConfig(max_epochs=max_epochs, min_steps=min_steps, batch_size=64)

    assert epochs == planned_epochs(training, images) == planned_epochs(message, images)


@pytest.mark.parametrize("batches", [2, 9, 40])
def test_a_training_takes_the_steps_of_the_floor(tmp_path: Path, batches: int) -> None:
    """Two epochs of six steps become six, down to the end of the schedule, interrupted or not."""
    settings: dict[str, Any] = {"max_epochs": 2, "min_steps": 31, "schedule": Schedule.ONE_CYCLE}
    undisturbed, expected = run_fit(make_request(**settings), make_data())

    run_fit(make_request(folder=tmp_path, **settings), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(folder=tmp_path, **settings), make_data())

    assert isinstance(outcome, Trained)
    assert (6, False) == (outcome.epochs, outcome.stopped_early)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))


def test_early_stopping_ends_a_constant_rate_before_the_floor() -> None:
    """The floor moves the last epoch; patience counts as before, and the training says that it stopped early."""
    asleep: dict[str, Any] = {"learning_rate": 1e-9, "weight_decay": 0.0, "patience": 1}
    _, outcome = run_fit(make_request(max_epochs=1, min_steps=6 * 500, **asleep), make_data())

    assert isinstance(outcome, Trained)
    assert outcome.stopped_early
    assert outcome.epochs < 500


def test_a_search_takes_as_many_epochs() -> None:
    """Reports beyond ``max_epochs`` are no violation where the floor asks for them."""
    training = TrainingConfig(max_epochs=1, batch_size=TRAIN_IMAGES, min_steps=3)
    driver = Driver(make_config(training=training, max_iterations=1))
    driver.run()

    trained = [child for child in driver.search.children.values() if child.state is ChildState.SUCCEEDED]
    assert driver.search.state is SearchState.SUCCEEDED
    assert trained
    assert {3} == {len(child.epochs) for child in trained if child.epochs}
