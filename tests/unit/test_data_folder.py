# SPDX-License-Identifier: Apache-2.0
"""A folder of one's own images: classes, parts, order, sizes and formats."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from image_files import draw, encode, write_folder, write_image
from pet_folder import make_pets, prepare_pets, read_report

from nas.config import InputShape
from nas.data import (
    SplitError,
    prepare,
    split,
)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of twelve images each."""
    return make_pets(tmp_path)


def test_a_folder_for_each_class(pets: Path) -> None:
    """Classes by name, images by path, pixels as they are; nothing to warn of."""
    found = prepare_pets(pets)

    assert ("cat", "dog") == found.class_names
    assert [0] * 12 + [1] * 12 == found.labels_N.tolist()
    by_path = sorted(range(12), key=str)
    expected = [draw(number) for number in [*by_path, *(12 + number for number in by_path)]]
    assert np.array_equal(np.array(expected)[:, np.newaxis], found.images_NCHW)
    assert (None, None, None, ()) == (found.validation_start, found.test_start, found.groups_N, found.warnings)
    assert {"cat": 12, "dog": 12} == read_report(found)["images_per_class"]


def test_order_and_names_on_disk_decide_nothing_else(pets: Path, tmp_path: Path) -> None:
    """The same files created in another order, in a folder of another name, are the same data set."""
    other = tmp_path / "other" / "animals"
    for file in sorted(pets.rglob("*.png"), reverse=True):
        target = other / file.relative_to(pets)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)

    elsewhere = prepare("folder:animals", data_root=tmp_path / "other", cache_dir=tmp_path / "cache2")

    assert prepare_pets(pets).fingerprint == elsewhere.fingerprint


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "TEST")],
)
def test_parts_stay_what_they_are(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """Train, validation and test folders in any case and spelling are the three parts, whatever the seed."""
    train, validation, test = names
    folder = tmp_path / "root" / "pets"
    counts = {f"{train}/cat": 9, f"{train}/dog": 7, f"{validation}/cat": 3, f"{validation}/dog": 2}
    write_folder(folder, counts | {f"{test}/cat": 2, f"{test}/dog": 4})

    found = prepare_pets(folder)
    divided = {seed: split(found, seed=seed) for seed in (1, 2)}

    assert (16, 21) == (found.validation_start, found.test_start)
    assert [0] * 9 + [1] * 7 + [0] * 3 + [1] * 2 + [0] * 2 + [1] * 4 == found.labels_N.tolist()
    for parts in divided.values():
        assert list(range(16)) == parts.train.tolist()
        assert list(range(16, 21)) == parts.validation.tolist()
        assert list(range(21, 27)) == parts.test.tolist()


@pytest.mark.parametrize(("given", "sizes"), [("test", (36, 4, 10)), ("val", (36, 10, 4)), ("", (32, 4, 4))])
def test_a_part_that_is_missing_is_taken_from_training(tmp_path: Path, given: str, sizes: tuple[int, ...]) -> None:
    """A tenth of the training folder each; the part that is there stays what it is."""
    folder = tmp_path / "root" / "pets"
    write_folder(folder, {"train/cat": 20, "train/dog": 20} | ({f"{given}/cat": 5, f"{given}/dog": 5} if given else {}))

    found = prepare_pets(folder)
    parts = split(found, seed=3)

    assert sizes == (len(parts.train), len(parts.validation), len(parts.test))
    if given:
        assert list(range(40, 50)) == (parts.test if given == "test" else parts.validation).tolist()


def test_the_train_limit_cuts_given_parts_evenly(tmp_path: Path) -> None:
    """Train and validation shrink by the same share, class by class; the test part stays whole."""
    folder = tmp_path / "root" / "pets"
    counts = {"train/cat": 30, "train/dog": 30, "val/cat": 10, "val/dog": 10, "test/cat": 5, "test/dog": 5}
    write_folder(folder, counts)
    found = prepare_pets(folder)

    parts = split(found, seed=3, train_limit=40)

    assert (30, 10, 10) == (len(parts.train), len(parts.validation), len(parts.test))
    assert [15, 15] == np.bincount(found.labels_N[parts.train]).tolist()
    assert [5, 5] == np.bincount(found.labels_N[parts.validation]).tolist()
    with pytest.raises(SplitError, match="the train limit leaves 1 images for validation"):
        split(found, seed=3, train_limit=5)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    """Pictures of trains: a folder of that name with images in it is no part."""
    write_folder(tmp_path / "root" / "vehicles", {"plane": 10, "train": 10, "tram": 10})

    assert ("plane", "train", "tram") == prepare_pets(tmp_path / "root" / "vehicles").class_names


def test_folders_below_a_class_belong_to_it(pets: Path) -> None:
    """At any depth; their names mean nothing."""
    write_image(pets / "cat" / "2019" / "siamese" / "0.png", 99)

    found = prepare_pets(pets)

    assert [13, 12] == np.bincount(found.labels_N).tolist()


@pytest.mark.parametrize(
    ("sizes", "input_size", "side"),
    [
        ([(8, 8)], 0, 8),
        ([(8, 8), (9, 9)], 0, 64),
        ([(8, 6)], 0, 64),
        ([(8, 8)], 12, 12),
        ([(8, 6), (20, 30)], 16, 16),
    ],
)
def test_size(tmp_path: Path, sizes: list[tuple[int, int]], input_size: int, side: int) -> None:
    """One square size of all images is theirs, else 64, unless the user says otherwise."""
    for number in range(8):
        write_image(tmp_path / "root" / "pets" / "ab"[number % 2] / f"{number}.png", number, sizes[number % len(sizes)])

    found = prepare_pets(tmp_path / "root" / "pets", input_size=input_size)

    assert InputShape(channels=1, height=side, width=side) == found.shape
    assert (8, 1, side, side) == found.images_NCHW.shape


def test_one_colour_image_makes_the_set_colour(pets: Path) -> None:
    """All grey is one channel; otherwise three, with the grey images in all of them."""
    assert 1 == prepare_pets(pets).shape.channels
    write_image(pets / "dog" / "red.png", 77, channels=3)

    found = prepare_pets(pets)

    assert 3 == found.shape.channels
    assert np.array_equal(found.images_NCHW[0, 0], found.images_NCHW[0, 2])
    assert np.array_equal(draw(77, channels=3).transpose(2, 0, 1), found.images_NCHW[-1])


def test_every_format_in_one_folder(pets: Path) -> None:
    """PNG, JPEG, BMP, TIFF and PGM side by side, by content: a wrong ending of the list does not matter."""
    for number, (name, kind) in enumerate(
        [
            ("a.JPG", "JPEG"),
            ("b.jpeg", "PNG"),
            ("c.bmp", "BMP"),
            ("d.tif", "TIFF"),
            ("e.TIFF", "TIFF"),
            ("f.pgm", "PPM"),
        ]
    ):
        (pets / "cat" / name).write_bytes(encode(draw(200 + number), kind))

    assert [18, 12] == np.bincount(prepare_pets(pets).labels_N).tolist()
