# SPDX-License-Identifier: Apache-2.0
"""A folder of one's own images that is not as it should be: left out and said, or refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from image_files import write_folder, write_image
from pet_folder import make_pets, prepare_pets, read_report

from nas.data import (
    EmptyFolderError,
    FolderError,
    OneClassError,
    SplitError,
    UnreadableImagesError,
    split,
)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of twelve images each."""
    return make_pets(tmp_path)


def test_what_is_no_image_is_left_out_and_counted(pets: Path) -> None:
    """Notes and lists stay unread, hidden files are no business of ours; the report names what was left out."""
    (pets / "README.txt").write_text("pets")
    (pets / "cat" / "notes.csv").write_text("a,b")
    (pets / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "._0.png").write_bytes(b"x")
    (pets / "__MACOSX").mkdir()
    write_image(pets / "stray.png", 50)

    found = prepare_pets(pets)

    first, second = found.warnings
    assert "left out: 3 files that the data set does not use" == first
    assert f"cache/{found.path.name}.report.json in the server's state folder names the files that are meant" == second
    assert ["README.txt", "cat/notes.csv", "stray.png"] == read_report(found)["left_out_files"]


def test_unreadable_images_refuse_the_set(pets: Path) -> None:
    """By default one is too many: how many, which first and why, what helps, where the names are, and none of them."""
    (pets / "dog" / "3.png").write_bytes(b"no image")
    (pets / "cat" / "7.png").write_bytes((pets / "cat" / "7.png").read_bytes()[:60])

    with pytest.raises(UnreadableImagesError) as caught:
        prepare_pets(pets)

    error = caught.value
    assert (2, 24, 0) == (error.unreadable, error.images, error.allowed)
    assert (
        "2 of 24 images of data set 'folder:pets' cannot be read (first: image 10 of class 'cat' is damaged or cut "
        f"short), and --max-bad-files allows 0; replace them or allow more; {error.report} lists them by name"
    ) == str(error)
    assert "7.png" not in str(error)
    report = pets.parent.parent / error.report.split()[0]
    assert ["cat/7.png", "dog/3.png"] == [image["file"] for image in json.loads(report.read_text())["unreadable"]]
    assert 0o600 == stat.S_IMODE(report.stat().st_mode)


def test_as_many_as_allowed_are_left_out(pets: Path) -> None:
    """Allowed, they are left out and warned of, the others stay in order; one more than allowed is refused again."""
    (pets / "dog" / "3.png").write_bytes(b"no image")
    (pets / "cat" / "7.png").write_bytes((pets / "cat" / "7.png").read_bytes()[:60])

    found = prepare_pets(pets, max_bad_files=2)

    assert [11, 11] == np.bincount(found.labels_N).tolist()
    assert found.warnings[0] == (
        "2 of 24 images cannot be read and are left out (first: image 10 of class 'cat' is damaged or cut short)"
    )
    assert found.warnings == prepare_pets(pets, max_bad_files=9).warnings
    with pytest.raises(UnreadableImagesError):
        prepare_pets(pets, max_bad_files=1)


def test_copies_are_used_once_and_conflicts_not_at_all(pets: Path) -> None:
    """The same bytes twice in a class count once; in two classes nobody knows what they are."""
    shutil.copyfile(pets / "cat" / "1.png", pets / "cat" / "copy.png")
    shutil.copyfile(pets / "cat" / "2.png", pets / "dog" / "mixed.png")

    found = prepare_pets(pets)

    assert [11, 12] == np.bincount(found.labels_N).tolist()
    assert (
        "left out: 2 images whose content lies in more than one class",
        "left out: 1 image with the content of another one of the same class",
    ) == found.warnings[:2]
    assert ["cat/2.png", "dog/mixed.png"] == read_report(found)["conflicts"]
    assert ["cat/copy.png"] == read_report(found)["copies"]


def test_no_test_image_is_trained_on(tmp_path: Path) -> None:
    """Of an image that lies in train and in test, the one in test is used."""
    folder = tmp_path / "root" / "pets"
    write_folder(folder, {"train/cat": 9, "train/dog": 9, "val/cat": 2, "val/dog": 2, "test/cat": 2, "test/dog": 2})
    shutil.copyfile(folder / "test" / "cat" / "0.png", folder / "train" / "cat" / "0.png")

    found = prepare_pets(folder)

    assert ["train/cat/0.png"] == read_report(found)["copies"]
    assert (17, 21, 25) == (found.validation_start, found.test_start, len(found.labels_N))


EMPTY = "it has no folder with images; put each class into a folder of its own, with files that end in png, jpg, "


@pytest.mark.parametrize("content", [{}, {"cat": 0, "dog": 0}, {"train/cat": 0, "train/dog": 0}])
def test_an_empty_folder(tmp_path: Path, content: dict[str, int]) -> None:
    """With or without class folders: the sentence says what belongs there."""
    (tmp_path / "root" / "pets").mkdir(parents=True)
    write_folder(tmp_path / "root" / "pets", content)

    with pytest.raises(EmptyFolderError) as caught:
        prepare_pets(tmp_path / "root" / "pets")

    assert str(caught.value).startswith(f"data set 'folder:pets' cannot be used: {EMPTY}")


def test_images_without_class_folders_are_an_empty_folder(tmp_path: Path) -> None:
    """Files directly in the folder have no class."""
    write_image(tmp_path / "root" / "pets" / "0.png", 0)

    with pytest.raises(EmptyFolderError, match="put each class into a folder of its own"):
        prepare_pets(tmp_path / "root" / "pets")


@pytest.mark.parametrize("content", [{"cat": 9}, {"train/cat": 9, "test/cat": 3}])
def test_one_class(tmp_path: Path, content: dict[str, int]) -> None:
    """There is nothing to tell apart; maybe the classes lie deeper."""
    write_folder(tmp_path / "root" / "pets", content)

    with pytest.raises(OneClassError, match="'cat' is its only class folder, and a search needs at least two classes"):
        prepare_pets(tmp_path / "root" / "pets")


def test_a_class_with_too_few_images(pets: Path) -> None:
    """Each part needs one; an empty class folder is a class without images, not nothing."""
    write_folder(pets, {"emu": 2}, first=500)
    with pytest.raises(SplitError, match="class 'emu' has only 2 of the 3 images that it needs in the data set"):
        split(prepare_pets(pets), seed=0)
    (pets / "yak").mkdir()

    with pytest.raises(SplitError, match="class 'yak' has only 0 of the 3 images"):
        split(prepare_pets(pets), seed=0)


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    """Which of them is meant cannot be guessed."""
    write_folder(tmp_path / "root" / "pets", {"train/cat": 9, "train/dog": 9, "val/cat": 2, "valid/cat": 2})

    with pytest.raises(FolderError, match="'val' and 'valid' are for the same part; keep one of them"):
        prepare_pets(tmp_path / "root" / "pets")


@pytest.mark.parametrize("name", [b"c\xff\xfet", b"c\nat", "c\u202eat".encode()])
def test_a_class_without_a_printable_name(pets: Path, name: bytes) -> None:
    """Class names go into events and onto terminals."""
    (pets / "cat").rename(os.fsdecode(os.fsencode(pets) + b"/" + name))

    with pytest.raises(FolderError, match="has no printable name; rename it") as caught:
        prepare_pets(pets)

    assert str(caught.value).isprintable()


def test_file_names_may_be_anything(pets: Path) -> None:
    """Bytes that are no text and control characters in file names are no hindrance, and stay in the report."""
    (pets / "cat" / "0.png").rename(os.fsdecode(os.fsencode(pets / "cat") + b"/\xff\n.png"))
    (pets / "cat" / "1.png").write_bytes(b"x")

    found = prepare_pets(pets, max_bad_files=1)

    assert 23 == len(found.labels_N)
    assert all(warning.isprintable() for warning in found.warnings)


def test_nothing_usable_is_refused(pets: Path) -> None:
    """However many bad files are allowed, and even if all images contradict each other."""
    for file in (pets / "cat").iterdir():
        shutil.copyfile(file, pets / "dog" / file.name)
    with pytest.raises(EmptyFolderError, match="none of its images can be used"):
        prepare_pets(pets)
    for file in pets.rglob("*.png"):
        file.write_bytes(os.urandom(30))

    with pytest.raises(UnreadableImagesError, match="24 of 24 images"):
        prepare_pets(pets, max_bad_files=1000)
