# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a damaged or foreign one is never used, and whatever happens the same weights come out."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import make_data, make_request, run_fit, run_some, without_times

from nas.child import ChildId, EpochResult, Evaluation
from nas.durable import write_durably
from nas.training import FitRequest, Trained, find_resumed_epoch
from nas.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, save_checkpoint

RESULT = EpochResult(
    epoch=1,
    training_loss=0.1 + 0.2,
    validation=Evaluation(loss=1 / 3, correct=(1, 0), total=(2, 3)),
    seconds=1e-9,
    images_per_second=12345.678,
)
GROUPS = {"weights": {"a": torch.arange(6.0).reshape(2, 3)}, "step": {"a": torch.tensor(3.0)}}


def _checkpoint(epochs: int) -> Checkpoint:
    return Checkpoint(history=tuple(replace(RESULT, epoch=e) for e in range(1, epochs + 1)), groups=GROUPS)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _sha256(request: FitRequest) -> str:
    _, outcome = run_fit(request, make_data())
    assert isinstance(outcome, Trained)
    return outcome.weights_sha256


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Floats, counts and tensors survive exactly."""
    save_checkpoint(tmp_path, "f", _checkpoint(2))

    loaded = load_checkpoint(tmp_path, "f")

    assert loaded is not None
    assert _checkpoint(2).history == loaded.history
    assert GROUPS.keys() == loaded.groups.keys()
    assert torch.equal(GROUPS["weights"]["a"], loaded.groups["weights"]["a"])
    assert torch.equal(GROUPS["step"]["a"], loaded.groups["step"]["a"])


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    """Nothing there is no error, whether the folder exists or not."""
    assert load_checkpoint(tmp_path, "f") is None
    assert find_checkpoint(tmp_path, "f") is None
    assert find_checkpoint(tmp_path / "missing", "f") is None
    assert 0 == find_resumed_epoch(make_request(folder=tmp_path / "missing"), make_data())
    assert 0 == find_resumed_epoch(make_request(), make_data())


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    """A third one replaces the first, and no temporary file stays."""
    for epochs in (1, 2, 3):
        save_checkpoint(tmp_path, "f", _checkpoint(epochs))

    kept = {f"epoch-000{epoch}.{ending}" for epoch in (2, 3) for ending in ("jsonl", "safetensors")}
    assert kept == _names(tmp_path)
    assert (3, 0) == find_checkpoint(tmp_path, "f")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("ending", ["jsonl", "safetensors"])
@pytest.mark.parametrize("damage", [Path.unlink, _truncate, _empty, _flip])
def test_a_damaged_newest_falls_back_to_the_older_one(
    tmp_path: Path, damage: Callable[[Path], None], ending: str
) -> None:
    """Whichever of its two files suffers, the checkpoint is left out and its remains are deleted."""
    save_checkpoint(tmp_path, "f", _checkpoint(1))
    save_checkpoint(tmp_path, "f", _checkpoint(2))
    damage(tmp_path / f"epoch-0002.{ending}")

    assert (1, 0) == find_checkpoint(tmp_path, "f")
    loaded = load_checkpoint(tmp_path, "f")

    assert loaded is not None
    assert 1 == len(loaded.history)
    assert {"epoch-0001.jsonl", "epoch-0001.safetensors"} == _names(tmp_path)


def test_no_flipped_or_lost_bytes_are_used_silently(tmp_path: Path) -> None:
    """Of 600 random damages to either file, each is noticed: the older checkpoint serves instead."""
    pristine = tmp_path / "pristine"
    pristine.mkdir()
    save_checkpoint(pristine, "f", _checkpoint(1))
    save_checkpoint(pristine, "f", _checkpoint(2))
    generator = random.Random(5)

    for attempt in range(600):
        folder = tmp_path / str(attempt)
        shutil.copytree(pristine, folder)
        path = folder / generator.choice(["epoch-0002.jsonl", "epoch-0002.safetensors"])
        content = bytearray(path.read_bytes())
        place = generator.randrange(len(content))
        if generator.random() < 0.8:
            content[place] ^= 1 << generator.randrange(8)
        else:
            del content[place:]
        path.write_bytes(content)

        loaded = load_checkpoint(folder, "f")

        assert loaded is not None, attempt
        assert 1 == len(loaded.history), attempt


def test_a_checkpoint_of_another_training_is_not_used(tmp_path: Path) -> None:
    """Under another fingerprint it is deleted, as the new training will write its own."""
    save_checkpoint(tmp_path, "f", _checkpoint(1))

    assert find_checkpoint(tmp_path, "g") is None
    assert (1, 0) == find_checkpoint(tmp_path, "f")
    assert load_checkpoint(tmp_path, "g") is None
    assert set() == _names(tmp_path)


def test_files_that_are_no_checkpoint_are_not_used(tmp_path: Path) -> None:
    """Neither other JSON, however deep, nor strange file names are an error."""
    for number, text in enumerate(["[]", "null\n", '{}\n{"sha256": ""}\n', "\n", "[" * 5000], start=1):
        (tmp_path / f"epoch-{number:04d}.jsonl").write_text(text)
    (tmp_path / "epoch-last.jsonl").write_text("{}")

    assert find_checkpoint(tmp_path, "f") is None
    assert load_checkpoint(tmp_path, "f") is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the new file cannot be put in place, the error is raised and no temporary file stays."""
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="taken"):
        write_durably(tmp_path / "taken", b"new")

    assert {"taken"} == _names(tmp_path)


def test_what_a_killed_writer_left_is_cleaned_up(tmp_path: Path) -> None:
    """A temporary file is never read and goes away with the next attempt."""
    save_checkpoint(tmp_path, "f", _checkpoint(1))
    (tmp_path / "epoch-0002.safetensors.tmp").write_bytes(b"half")

    assert load_checkpoint(tmp_path, "f") is not None
    assert {"epoch-0001.jsonl", "epoch-0001.safetensors"} == _names(tmp_path)


def test_a_continued_training_yields_the_recorded_epochs_first(tmp_path: Path) -> None:
    """They come as they were recorded, seconds included, and then the new ones."""
    request = make_request(folder=tmp_path)
    before = run_some(request, make_data(), 2)

    epochs, _ = run_fit(request, make_data())

    assert before == epochs[:2]
    assert [1, 2, 3, 4] == [result.epoch for result in epochs]


def test_a_finished_training_only_repeats_itself(tmp_path: Path) -> None:
    """A result that got lost on its way is given again without any training."""
    request = make_request(folder=tmp_path)
    first = run_fit(request, make_data())
    (tmp_path / "best.safetensors").unlink()

    assert first == run_fit(request, make_data())
    assert (tmp_path / "best.safetensors").exists()


@pytest.mark.parametrize("stops", [(1,), (2,), (3,), (1, 2, 3)])
def test_a_continued_training_ends_with_the_same_weights(tmp_path: Path, stops: tuple[int, ...]) -> None:
    """However often it is interrupted."""
    for stop in stops:
        run_some(make_request(folder=tmp_path), make_data(), stop)

    assert _sha256(make_request()) == _sha256(make_request(folder=tmp_path))


def test_patience_and_best_weights_survive_an_interruption(tmp_path: Path) -> None:
    """Interrupted after an epoch without a gain, it stops in the same epoch and keeps the same weights."""
    data = make_data()
    worse = replace(data, validation_labels=(data.validation_labels + 1) % 3)
    settings: dict[str, Any] = {"learning_rate": 0.02, "max_epochs": 9}
    whole = run_fit(make_request(**settings), worse)
    run_some(make_request(folder=tmp_path, **settings), worse, 2)

    epochs, outcome = run_fit(make_request(folder=tmp_path, **settings), worse)

    assert isinstance(outcome, Trained)
    assert outcome.best_epoch < outcome.epochs == 3
    assert whole[1] == outcome
    assert without_times(whole[0]) == without_times(epochs)


@pytest.mark.parametrize(("damaged", "left"), [(["epoch-0003"], 2), (["epoch-0003", "epoch-0002"], 0)])
def test_damaged_checkpoints_do_not_change_the_result(tmp_path: Path, damaged: list[str], left: int) -> None:
    """Training goes on from the older one, or from the start if both are bad."""
    run_some(make_request(folder=tmp_path), make_data(), 3)
    for name in damaged:
        _flip(tmp_path / f"{name}.safetensors")

    assert left == find_resumed_epoch(make_request(folder=tmp_path), make_data())
    assert _sha256(make_request()) == _sha256(make_request(folder=tmp_path))


def test_a_new_training_in_a_used_folder_starts_from_zero(tmp_path: Path) -> None:
    """Another child's longer history neither is continued nor pushes the new checkpoints out."""
    run_fit(make_request(folder=tmp_path), make_data())
    other = replace(make_request(folder=tmp_path), child_id=ChildId(1, 3))

    before = find_resumed_epoch(other, make_data())
    run_some(other, make_data(), 1)

    assert (0, 1) == (before, find_resumed_epoch(other, make_data()))


def test_history_is_json_and_tensors_are_safetensors(tmp_path: Path) -> None:
    """Both files are of formats that cannot run code."""
    run_some(make_request(folder=tmp_path), make_data(), 1)

    body, _ = (json.loads(line) for line in (tmp_path / "epoch-0001.jsonl").read_text().splitlines())
    header = (tmp_path / "epoch-0001.safetensors").read_bytes()[8:]
    assert {"fingerprint", "history", "seconds", "steps", "tensors_sha256"} == body.keys()
    assert header.startswith(b"{")
