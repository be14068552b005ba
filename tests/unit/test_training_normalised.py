# SPDX-License-Identifier: Apache-2.0
"""Training of nets with batch normalisation: running statistics are kept, and continue bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import NORMALISED_NET, Stopper, make_data, make_request, run_fit, without_times

from nas.recipe import Schedule
from nas.training import BEST_WEIGHTS, Trained, ask_weights
from nas.training.seeding import build_seeded

RECIPES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.02},
    {"learning_rate": 0.02, "ema": 0.9, "schedule": Schedule.ONE_CYCLE},
)


@pytest.mark.parametrize("recipe", RECIPES, ids=["plain", "averaged"])
@pytest.mark.parametrize("batches", [1, 4, 7, 13])
def test_an_interruption_changes_nothing(tmp_path: Path, recipe: dict[str, Any], batches: int) -> None:
    """Within an epoch, within a validation and between two epochs: the same losses and the same weights."""
    undisturbed, expected = run_fit(make_request(NORMALISED_NET, **recipe), make_data())

    run_fit(make_request(NORMALISED_NET, tmp_path, **recipe), make_data(), Stopper(batches))
    epochs, outcome = run_fit(make_request(NORMALISED_NET, tmp_path, **recipe), make_data())

    assert isinstance(outcome, Trained)
    assert (expected, without_times(undisturbed)) == (outcome, without_times(epochs))


def test_running_statistics_are_kept_with_the_weights(tmp_path: Path) -> None:
    """The file of weights holds parameters and statistics, and gives the accuracy that the training reported."""
    data, request = make_data(), make_request(NORMALISED_NET, tmp_path, learning_rate=0.02)

    _, outcome = run_fit(request, data)

    assert isinstance(outcome, Trained)
    kept = safetensors.torch.load_file(tmp_path / BEST_WEIGHTS)
    fresh = build_seeded(request).state_dict()
    assert fresh.keys() == kept.keys()
    assert not torch.equal(fresh["layers.1.bn.running_mean"], kept["layers.1.bn.running_mean"])
    answers = ask_weights(
        request, tmp_path / BEST_WEIGHTS, outcome.weights_sha256, data.validation_images, data.validation_labels
    )
    assert answers.evaluation == outcome.evaluation


def test_a_last_batch_of_one_image() -> None:
    """It trains, although the map of one image may be a single value per channel."""
    _, outcome = run_fit(make_request(NORMALISED_NET, batch_size=16), make_data(train=17))

    assert isinstance(outcome, Trained)
