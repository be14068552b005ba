# SPDX-License-Identifier: Apache-2.0
"""Stored weights are used only if they are the recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_training import LINEAR_NET, SMALL_NET, make_data, make_images, make_request, run_fit

from nas.architecture import Architecture
from nas.config import Precision
from nas.training import BEST_WEIGHTS, DataMismatchError, Trained, WeightsError, ask_weights


def _train(folder: Path, architecture: Architecture = SMALL_NET, **training: object) -> Trained:
    _, outcome = run_fit(make_request(architecture, folder, learning_rate=0.02, **training), make_data())
    assert isinstance(outcome, Trained)
    return outcome


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_stored_weights_answer_as_in_training(tmp_path: Path, precision: Precision) -> None:
    """On the validation part, the file gives exactly the evaluation of the best epoch."""
    trained = _train(tmp_path, precision=precision)
    data = make_data()

    result = ask_weights(
        make_request(precision=precision),
        tmp_path / BEST_WEIGHTS,
        trained.weights_sha256,
        data.validation_images,
        data.validation_labels,
    )

    assert trained.evaluation == result.evaluation
    assert pytest.approx(np.ones(len(data.validation_labels))) == result.probabilities().sum(axis=1)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    """One flipped bit in the last weight is enough."""
    trained = _train(tmp_path)
    path = tmp_path / BEST_WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="has changed since it was written; train the child again") as caught:
        ask_weights(make_request(), path, trained.weights_sha256, *make_images(9, seed=4))

    assert (path, trained.weights_sha256) == (caught.value.path, caught.value.expected_sha256)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    """A file that is not there is the same kind of error."""
    with pytest.raises(WeightsError, match="cannot be read"):
        ask_weights(make_request(), tmp_path / BEST_WEIGHTS, "0" * 64, *make_images(9, seed=4))


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    """A sound file that fits another architecture is not forced into this one."""
    trained = _train(tmp_path, LINEAR_NET)

    with pytest.raises(WeightsError, match="holds the weights of another net"):
        ask_weights(make_request(), tmp_path / BEST_WEIGHTS, trained.weights_sha256, *make_images(9, seed=4))


def test_labels_are_checked_before_the_weights(tmp_path: Path) -> None:
    """The test part must fit the net as the training part had to."""
    images, labels = make_images(9, seed=4)

    with pytest.raises(DataMismatchError, match="test_labels"):
        ask_weights(make_request(), tmp_path / BEST_WEIGHTS, "0" * 64, images, labels + 3)
