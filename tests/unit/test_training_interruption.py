# SPDX-License-Identifier: Apache-2.0
"""A training that is asked to stop keeps every step it has done, and goes on as if nothing had been.

The small training has four epochs of six training and three validation batches.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import LINEAR_NET, Stopper, make_data, make_request, run_fit, without_times

from nas.training import Diverged, Interrupted, Trained, find_resumed_epoch
from nas.training.checkpoint import list_positions

TRAINING_BATCHES, EPOCH_BATCHES, ALL_BATCHES = 6, 9, 36
NEVER = 10**9


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    """Epochs and outcome of a training that nobody interrupts."""
    epochs, outcome = run_fit(make_request(), make_data())
    assert isinstance(outcome, Trained)
    return without_times(epochs), outcome


@pytest.mark.parametrize("batches", [0, 1, 3, 5, 6, 7, 8, 9, 10, 14, 15, 17, 18, 28, 33, 34, 35])
def test_an_interruption_costs_nothing(tmp_path: Path, undisturbed: Any, batches: int) -> None:
    """Before, between and after the steps of an epoch, and within its validation: no batch is done twice."""
    first, second = Stopper(batches), Stopper(NEVER)
    run_fit(make_request(folder=tmp_path), make_data(), first)

    epochs, outcome = run_fit(make_request(folder=tmp_path), make_data(), second)

    assert undisturbed == (without_times(epochs), outcome)
    assert ALL_BATCHES == first.done + second.done
    assert all(0 < 90 / result.images_per_second < result.seconds for result in epochs)


@pytest.mark.parametrize(
    ("batches", "epochs", "expected"),
    [
        (0, 0, Interrupted(epoch=1, steps=0)),
        (1, 0, Interrupted(epoch=1, steps=1)),
        (5, 0, Interrupted(epoch=1, steps=5)),
        (6, 1, Interrupted(epoch=2, steps=0)),
        (8, 1, Interrupted(epoch=2, steps=0)),
        (31, 3, Interrupted(epoch=4, steps=4)),
    ],
)
def test_an_interrupted_training_says_where_it_is(
    tmp_path: Path, batches: int, epochs: int, expected: Interrupted
) -> None:
    """It takes no further step; a validation that has begun is finished, so its epoch is not lost."""
    stopper = Stopper(batches)

    results, outcome = run_fit(make_request(folder=tmp_path), make_data(), stopper)

    assert (epochs, expected) == (len(results), outcome)
    assert EPOCH_BATCHES * epochs + expected.steps == stopper.done
    assert epochs == find_resumed_epoch(make_request(folder=tmp_path), make_data())


@pytest.mark.parametrize("batches", [33, 35])
def test_a_training_that_has_no_step_left_is_finished(tmp_path: Path, undisturbed: Any, batches: int) -> None:
    """Asked to stop within its last validation, it ends as trained."""
    assert undisturbed[1] == run_fit(make_request(folder=tmp_path), make_data(), Stopper(batches))[1]


def test_it_may_be_interrupted_at_every_step(tmp_path: Path, undisturbed: Any) -> None:
    """One step an attempt is slow, but gets to the same end."""
    stoppers, outcome = [], None
    while not isinstance(outcome, Trained):
        stoppers.append(Stopper(1))
        epochs, outcome = run_fit(make_request(folder=tmp_path), make_data(), stoppers[-1])

    assert undisturbed == (without_times(epochs), outcome)
    assert ALL_BATCHES == sum(stopper.done for stopper in stoppers)


def test_a_damaged_checkpoint_within_an_epoch_falls_back_to_its_beginning(tmp_path: Path, undisturbed: Any) -> None:
    """The checkpoint of the epoch before is still there, and only the steps since are repeated."""
    run_fit(make_request(folder=tmp_path), make_data(), Stopper(EPOCH_BATCHES + 2))
    positions = list_positions(tmp_path)
    (tmp_path / "epoch-0001-step-00000002.safetensors").write_bytes(b"")
    second = Stopper(NEVER)

    epochs, outcome = run_fit(make_request(folder=tmp_path), make_data(), second)

    assert [(1, 2), (1, 0)] == positions
    assert undisturbed == (without_times(epochs), outcome)
    assert ALL_BATCHES - EPOCH_BATCHES == second.done


def test_interrupted_twice_it_falls_back_to_the_first_interruption(tmp_path: Path, undisturbed: Any) -> None:
    """The newest two checkpoints are kept, wherever in an epoch they are."""
    for batches in (EPOCH_BATCHES + 2, 3):
        run_fit(make_request(folder=tmp_path), make_data(), Stopper(batches))
    positions = list_positions(tmp_path)
    (tmp_path / "epoch-0001-step-00000005.jsonl").unlink()
    third = Stopper(NEVER)

    epochs, outcome = run_fit(make_request(folder=tmp_path), make_data(), third)

    assert [(1, 5), (1, 2)] == positions
    assert undisturbed == (without_times(epochs), outcome)
    assert ALL_BATCHES - EPOCH_BATCHES - 2 == third.done


class _Killer(Stopper):
    """Asks to stop, and kills one batch later."""

    def count(self) -> None:
        if self.done > self.after:
            raise KeyboardInterrupt
        self.done += 1


@pytest.mark.parametrize("batches", [6, 7, 15])
def test_killed_within_a_validation_only_that_is_repeated(tmp_path: Path, undisturbed: Any, batches: int) -> None:
    """A large validation part may take longer than a preempted worker is given; the steps are safe by then."""
    with pytest.raises(KeyboardInterrupt):
        run_fit(make_request(folder=tmp_path), make_data(), _Killer(batches))
    positions = list_positions(tmp_path)
    second = Stopper(NEVER)

    epochs, outcome = run_fit(make_request(folder=tmp_path), make_data(), second)

    whole = batches // EPOCH_BATCHES
    assert (whole, TRAINING_BATCHES) == positions[0]
    assert undisturbed == (without_times(epochs), outcome)
    assert ALL_BATCHES - EPOCH_BATCHES * whole - TRAINING_BATCHES == second.done


def test_the_best_weights_survive_within_an_epoch(tmp_path: Path) -> None:
    """Interrupted in the epochs without a gain, it keeps the weights of the first epoch and stops in the third."""
    data = make_data()
    worse = replace(data, validation_labels=(data.validation_labels + 1) % 3)
    settings: dict[str, Any] = {"learning_rate": 0.02, "max_epochs": 9}
    expected = run_fit(make_request(**settings), worse)[1]
    for batches in (EPOCH_BATCHES + 4, EPOCH_BATCHES):
        interrupted = run_fit(make_request(folder=tmp_path, **settings), worse, Stopper(batches))[1]
        assert isinstance(interrupted, Interrupted)

    _, outcome = run_fit(make_request(folder=tmp_path, **settings), worse)

    assert isinstance(outcome, Trained)
    assert (3, 1) == (outcome.epochs, outcome.best_epoch)
    assert expected == outcome


def test_a_training_diverges_as_it_would_have(tmp_path: Path) -> None:
    """An interruption on the way changes neither the epoch nor the sentence."""
    settings: dict[str, Any] = {"learning_rate": 10.0, "weight_decay": 10.0, "batch_size": 1}
    data = make_data(train=30)
    expected = run_fit(make_request(LINEAR_NET, **settings), data)
    run_fit(make_request(LINEAR_NET, tmp_path, **settings), data, Stopper(7))

    continued = run_fit(make_request(LINEAR_NET, tmp_path, **settings), data)

    assert isinstance(expected[1], Diverged)
    assert expected == continued


def test_an_epoch_takes_as_long_as_all_its_parts(tmp_path: Path) -> None:
    """The time before the interruption counts, in seconds and in images per second."""
    run_fit(make_request(folder=tmp_path), make_data(), Stopper(5))
    kept = json.loads((tmp_path / "epoch-0000-step-00000005.jsonl").read_text().splitlines()[0])["seconds"]

    epochs, _ = run_fit(make_request(folder=tmp_path), make_data())

    assert 0 < kept < 90 / epochs[0].images_per_second < epochs[0].seconds


def test_without_a_folder_nothing_is_kept() -> None:
    """Nobody asked for a checkpoint; stopping is still an outcome."""
    _, outcome = run_fit(make_request(), make_data(), Stopper(2))

    assert Interrupted(epoch=1, steps=2) == outcome
