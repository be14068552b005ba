# SPDX-License-Identifier: Apache-2.0
"""Whole trainings of nets small enough to train in a test."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_training import LINEAR_NET, make_data, make_request, run_fit, run_some, without_times

from nas.child import ChildId
from nas.config import InputShape, Precision
from nas.training import BEST_WEIGHTS, DataMismatchError, Diverged, FitRequest, Trained, TrainingData, fit
from nas.training.request import FitOutcome


def _trained(outcome: FitOutcome) -> Trained:
    assert isinstance(outcome, Trained)
    return outcome


def _sha256(request: FitRequest) -> str:
    return _trained(run_fit(request, make_data())[1]).weights_sha256


def _mislabelled_data() -> TrainingData:
    """Make a validation part on which every lesson from the training part is wrong."""
    data = make_data()
    return replace(data, validation_labels=(data.validation_labels + 1) % 3)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_a_child_learns(precision: Precision) -> None:
    """Within four epochs a small net tells the classes apart, in both number formats."""
    epochs, outcome = run_fit(make_request(learning_rate=0.02, precision=precision), make_data())

    assert [1, 2, 3, 4] == [result.epoch for result in epochs]
    assert epochs[-1].training_loss < epochs[0].training_loss
    assert _trained(outcome).evaluation.accuracy > 0.9


def test_an_epoch_says_how_long_it_took() -> None:
    """The whole epoch takes longer than its training alone, which is what images per second count."""
    epochs, _ = run_fit(make_request(max_epochs=1), make_data())

    assert 0 < 90 / epochs[0].images_per_second < epochs[0].seconds


def test_training_stops_early_and_keeps_the_best_epoch() -> None:
    """On a validation part that only gets worse, two more epochs are trained and the first one counts."""
    epochs, outcome = run_fit(make_request(learning_rate=0.02, max_epochs=9), _mislabelled_data())

    trained = _trained(outcome)
    assert (3, 1, True) == (trained.epochs, trained.best_epoch, trained.stopped_early)
    assert epochs[0].validation == trained.evaluation


def test_the_last_epoch_is_no_early_stop() -> None:
    """A training that uses all its epochs was not stopped early, even if patience ran out just then."""
    _, outcome = run_fit(make_request(learning_rate=0.02, max_epochs=3), _mislabelled_data())

    assert (3, False) == (_trained(outcome).epochs, _trained(outcome).stopped_early)


def test_the_kept_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    """Weights of a training that went on after its best epoch equal those of one that ended there."""
    longer = make_request(folder=tmp_path / "longer", learning_rate=0.02, max_epochs=9)
    ended = make_request(folder=tmp_path / "ended", learning_rate=0.02, max_epochs=1)

    shas = {_trained(run_fit(request, _mislabelled_data())[1]).weights_sha256 for request in (longer, ended)}

    assert 1 == len(shas)


def test_best_weights_are_plain_sorted_float32(tmp_path: Path) -> None:
    """The file holds weights only, float32 whatever the precision, and its SHA-256 is the one reported."""
    _, outcome = run_fit(make_request(folder=tmp_path, precision=Precision.BF16), make_data())

    content = (tmp_path / BEST_WEIGHTS).read_bytes()
    tensors = safetensors.torch.load(content)
    names = [name for name in sorted(tensors) if name.startswith("layers.")]
    offsets = [content.index(f'"{name}"'.encode()) for name in names]
    assert hashlib.sha256(content).hexdigest() == _trained(outcome).weights_sha256
    assert {torch.float32} == {tensor.dtype for tensor in tensors.values()}
    assert set(names) == set(tensors)
    assert sorted(offsets) == offsets


def test_keeping_nothing_changes_nothing(tmp_path: Path) -> None:
    """With and without a folder the same weights come out."""
    assert _sha256(make_request(folder=tmp_path)) == _sha256(make_request())


def test_chance_comes_from_the_request_alone() -> None:
    """Torch's and numpy's global generators neither steer a training nor notice it."""
    torch.manual_seed(1)
    np.random.seed(1)
    first = _sha256(make_request())
    after_training = torch.rand(1)
    torch.manual_seed(2)
    np.random.seed(2)
    second = _sha256(make_request())
    torch.manual_seed(1)

    assert first == second
    assert torch.equal(torch.rand(1), after_training)


@pytest.mark.parametrize("change", [{"search_seed": 4}, {"child_id": ChildId(1, 3)}])
def test_another_seed_or_child_is_another_training(change: dict[str, Any]) -> None:
    """Weights and order are derived from both."""
    assert _sha256(make_request()) != _sha256(replace(make_request(), **change))


def test_diverged_training_loss_is_an_outcome() -> None:
    """Weights that explode end the training with a sentence instead of a traceback or an epoch."""
    request = make_request(LINEAR_NET, learning_rate=10.0, weight_decay=10.0, batch_size=1)

    epochs, outcome = run_fit(request, make_data(train=30))

    assert [] == epochs
    assert isinstance(outcome, Diverged)
    assert 1 == outcome.epoch
    assert outcome.detail in {f"the training loss of epoch 1 is {loss}" for loss in ("inf", "nan")}


def test_diverged_validation_loss_is_an_outcome() -> None:
    """Weights that explode in the very last step show in the validation part."""
    request = make_request(LINEAR_NET, learning_rate=10.0, weight_decay=10.0, batch_size=1)

    epochs, outcome = run_fit(request, make_data(train=19))

    assert [] == epochs
    assert isinstance(outcome, Diverged)
    assert outcome.detail in {f"the validation loss of epoch 1 is {loss}" for loss in ("inf", "nan")}


def test_divergence_after_good_epochs_is_still_divergence() -> None:
    """The good epochs are yielded, the bad one is not, and no weights are handed out."""
    request = make_request(LINEAR_NET, learning_rate=10.0, weight_decay=10.0, batch_size=5, max_epochs=9, patience=9)

    epochs, outcome = run_fit(request, make_data(train=30))

    assert isinstance(outcome, Diverged)
    assert list(range(1, outcome.epoch)) == [result.epoch for result in epochs]
    assert epochs
    assert all(math.isfinite(result.training_loss) and result.validation.is_finite for result in epochs)


def test_closing_the_generator_ends_the_training() -> None:
    """A caller may walk away after any epoch."""
    epochs = run_some(make_request(), make_data(), 2)

    assert [1, 2] == [result.epoch for result in epochs]


def test_read_only_arrays_are_welcome() -> None:
    """A memory-mapped cache gives arrays that nobody may write to."""
    data = make_data()
    for array in (data.train_images, data.train_labels, data.validation_images, data.validation_labels):
        array.setflags(write=False)

    epochs, _ = run_fit(make_request(), data)

    assert without_times(run_fit(make_request(), make_data())[0]) == without_times(epochs)


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("train_images", np.zeros((90, 1, 8, 8), np.float32), "must be uint8"),
        ("train_images", np.zeros((90, 8, 8), np.uint8), "must be uint8"),
        ("train_labels", np.zeros(90, np.int32), "must be int64"),
        ("validation_labels", np.zeros(44, np.int64), "must be int64"),
    ],
)
def test_arrays_that_are_no_images_or_labels_are_refused(name: str, array: Any, reason: str) -> None:
    """The message names the array and what it must be."""
    with pytest.raises(DataMismatchError, match=reason) as caught:
        replace(make_data(), **{name: array})

    assert name == caught.value.name


def test_an_empty_part_is_refused() -> None:
    """Nothing can be learnt from no image or measured on none."""
    with pytest.raises(DataMismatchError, match="validation_images has no image"):
        make_data(validation=0)


def test_images_of_another_shape_are_refused() -> None:
    """The net fixes the shape of its input."""
    request = replace(make_request(), input_shape=InputShape(channels=1, height=9, width=8))

    with pytest.raises(DataMismatchError, match="train_images have shape 1x8x8, but the net reads 1x9x8"):
        next(fit(request, make_data()))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_class_are_refused(label: int) -> None:
    """A label outside of the head would crash a device; it is found before."""
    data = make_data()
    data.validation_labels[7] = label

    with pytest.raises(DataMismatchError, match="but the net has 3 classes"):
        next(fit(make_request(), data))


def test_threads_are_at_least_one() -> None:
    """Zero is no number of threads."""
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        replace(make_request(), threads=0)


def test_checkpoints_say_how_long_they_took(tmp_path: Path) -> None:
    """Once an epoch; without a folder there are none."""
    heard: list[float] = []
    for request in (make_request(max_epochs=3), make_request(max_epochs=3, folder=tmp_path)):
        for _ in fit(request, make_data(), on_checkpoint=heard.append):
            pass

    assert 3 == len(heard)
    assert all(seconds > 0 for seconds in heard)
