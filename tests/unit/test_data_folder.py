# SPDX-License-Identifier: Apache-2.0
"""A folder of one's own images: classes, parts, sizes, and every way in which it can be unusable, in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import draw, encode, write_folder, write_image

from nas.config import InputShape
from nas.data import (
    CachedDataset,
    CacheError,
    CorruptFileError,
    EmptyFolderError,
    FolderError,
    ImageOptions,
    OneClassError,
    SplitError,
    UnreadableImagesError,
    find_by_fingerprint,
    open_cached,
    prepare,
    split,
    survey,
)
from nas.data.images import ImageSource
from nas.data.tree import Tree


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of twelve images each."""
    write_folder(tmp_path / "root" / "pets", {"cat": 12, "dog": 12})
    return tmp_path / "root" / "pets"


def _prepare(pets: Path, **options: Any) -> CachedDataset:
    root = pets.parent
    return prepare(
        f"folder:{pets.name}", data_root=root, cache_dir=root.parent / "cache", options=ImageOptions(**options)
    )


def _report(found: CachedDataset) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(found.path.with_name(f"{found.path.name}.report.json").read_text())
    return report


def test_a_folder_for_each_class(pets: Path) -> None:
    """Classes by name, images by path, pixels as they are; nothing to warn of."""
    found = _prepare(pets)

    assert ("cat", "dog") == found.class_names
    assert [0] * 12 + [1] * 12 == found.labels_N.tolist()
    by_path = sorted(range(12), key=str)
    expected = [draw(number) for number in [*by_path, *(12 + number for number in by_path)]]
    assert np.array_equal(np.array(expected)[:, np.newaxis], found.images_NCHW)
    assert (None, None, None, ()) == (found.validation_start, found.test_start, found.groups_N, found.warnings)
    assert {"cat": 12, "dog": 12} == _report(found)["images_per_class"]


def test_order_and_names_on_disk_decide_nothing_else(pets: Path, tmp_path: Path) -> None:
    """The same files created in another order, in a folder of another name, are the same data set."""
    other = tmp_path / "other" / "animals"
    for file in sorted(pets.rglob("*.png"), reverse=True):
        target = other / file.relative_to(pets)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)

    elsewhere = prepare("folder:animals", data_root=tmp_path / "other", cache_dir=tmp_path / "cache2")

    assert _prepare(pets).fingerprint == elsewhere.fingerprint


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

    found = _prepare(folder)
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

    found = _prepare(folder)
    parts = split(found, seed=3)

    assert sizes == (len(parts.train), len(parts.validation), len(parts.test))
    if given:
        assert list(range(40, 50)) == (parts.test if given == "test" else parts.validation).tolist()


def test_the_train_limit_cuts_given_parts_evenly(tmp_path: Path) -> None:
    """Train and validation shrink by the same share, class by class; the test part stays whole."""
    folder = tmp_path / "root" / "pets"
    counts = {"train/cat": 30, "train/dog": 30, "val/cat": 10, "val/dog": 10, "test/cat": 5, "test/dog": 5}
    write_folder(folder, counts)
    found = _prepare(folder)

    parts = split(found, seed=3, train_limit=40)

    assert (30, 10, 10) == (len(parts.train), len(parts.validation), len(parts.test))
    assert [15, 15] == np.bincount(found.labels_N[parts.train]).tolist()
    assert [5, 5] == np.bincount(found.labels_N[parts.validation]).tolist()
    with pytest.raises(SplitError, match="the train limit leaves 1 images for validation"):
        split(found, seed=3, train_limit=5)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    """Pictures of trains: a folder of that name with images in it is no part."""
    write_folder(tmp_path / "root" / "vehicles", {"plane": 10, "train": 10, "tram": 10})

    assert ("plane", "train", "tram") == _prepare(tmp_path / "root" / "vehicles").class_names


def test_folders_below_a_class_belong_to_it(pets: Path) -> None:
    """At any depth; their names mean nothing."""
    write_image(pets / "cat" / "2019" / "siamese" / "0.png", 99)

    found = _prepare(pets)

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

    found = _prepare(tmp_path / "root" / "pets", input_size=input_size)

    assert InputShape(channels=1, height=side, width=side) == found.shape
    assert (8, 1, side, side) == found.images_NCHW.shape


def test_one_colour_image_makes_the_set_colour(pets: Path) -> None:
    """All grey is one channel; otherwise three, with the grey images in all of them."""
    assert 1 == _prepare(pets).shape.channels
    write_image(pets / "dog" / "red.png", 77, channels=3)

    found = _prepare(pets)

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

    assert [18, 12] == np.bincount(_prepare(pets).labels_N).tolist()


def test_what_is_no_image_is_left_out_and_counted(pets: Path) -> None:
    """Notes and lists stay unread, hidden files are no business of ours; the report names what was left out."""
    (pets / "README.txt").write_text("pets")
    (pets / "cat" / "notes.csv").write_text("a,b")
    (pets / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "._0.png").write_bytes(b"x")
    (pets / "__MACOSX").mkdir()
    write_image(pets / "stray.png", 50)

    found = _prepare(pets)

    first, second = found.warnings
    assert "left out: 3 files that the data set does not use" == first
    assert f"cache/{found.path.name}.report.json in the server's state folder names the files that are meant" == second
    assert ["README.txt", "cat/notes.csv", "stray.png"] == _report(found)["left_out_files"]


def test_unreadable_images_refuse_the_set(pets: Path) -> None:
    """By default one is too many: how many, which first and why, what helps, where the names are, and none of them."""
    (pets / "dog" / "3.png").write_bytes(b"no image")
    (pets / "cat" / "7.png").write_bytes((pets / "cat" / "7.png").read_bytes()[:60])

    with pytest.raises(UnreadableImagesError) as caught:
        _prepare(pets)

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

    found = _prepare(pets, max_bad_files=2)

    assert [11, 11] == np.bincount(found.labels_N).tolist()
    assert found.warnings[0] == (
        "2 of 24 images cannot be read and are left out (first: image 10 of class 'cat' is damaged or cut short)"
    )
    assert found.warnings == _prepare(pets, max_bad_files=9).warnings
    with pytest.raises(UnreadableImagesError):
        _prepare(pets, max_bad_files=1)


def test_copies_are_used_once_and_conflicts_not_at_all(pets: Path) -> None:
    """The same bytes twice in a class count once; in two classes nobody knows what they are."""
    shutil.copyfile(pets / "cat" / "1.png", pets / "cat" / "copy.png")
    shutil.copyfile(pets / "cat" / "2.png", pets / "dog" / "mixed.png")

    found = _prepare(pets)

    assert [11, 12] == np.bincount(found.labels_N).tolist()
    assert (
        "left out: 2 images whose content lies in more than one class",
        "left out: 1 image with the content of another one of the same class",
    ) == found.warnings[:2]
    assert ["cat/2.png", "dog/mixed.png"] == _report(found)["conflicts"]
    assert ["cat/copy.png"] == _report(found)["copies"]


def test_no_test_image_is_trained_on(tmp_path: Path) -> None:
    """Of an image that lies in train and in test, the one in test is used."""
    folder = tmp_path / "root" / "pets"
    write_folder(folder, {"train/cat": 9, "train/dog": 9, "val/cat": 2, "val/dog": 2, "test/cat": 2, "test/dog": 2})
    shutil.copyfile(folder / "test" / "cat" / "0.png", folder / "train" / "cat" / "0.png")

    found = _prepare(folder)

    assert ["train/cat/0.png"] == _report(found)["copies"]
    assert (17, 21, 25) == (found.validation_start, found.test_start, len(found.labels_N))


EMPTY = "it has no folder with images; put each class into a folder of its own, with files that end in png, jpg, "


@pytest.mark.parametrize("content", [{}, {"cat": 0, "dog": 0}, {"train/cat": 0, "train/dog": 0}])
def test_an_empty_folder(tmp_path: Path, content: dict[str, int]) -> None:
    """With or without class folders: the sentence says what belongs there."""
    (tmp_path / "root" / "pets").mkdir(parents=True)
    write_folder(tmp_path / "root" / "pets", content)

    with pytest.raises(EmptyFolderError) as caught:
        _prepare(tmp_path / "root" / "pets")

    assert str(caught.value).startswith(f"data set 'folder:pets' cannot be used: {EMPTY}")


def test_images_without_class_folders_are_an_empty_folder(tmp_path: Path) -> None:
    """Files directly in the folder have no class."""
    write_image(tmp_path / "root" / "pets" / "0.png", 0)

    with pytest.raises(EmptyFolderError, match="put each class into a folder of its own"):
        _prepare(tmp_path / "root" / "pets")


@pytest.mark.parametrize("content", [{"cat": 9}, {"train/cat": 9, "test/cat": 3}])
def test_one_class(tmp_path: Path, content: dict[str, int]) -> None:
    """There is nothing to tell apart; maybe the classes lie deeper."""
    write_folder(tmp_path / "root" / "pets", content)

    with pytest.raises(OneClassError, match="'cat' is its only class folder, and a search needs at least two classes"):
        _prepare(tmp_path / "root" / "pets")


def test_a_class_with_too_few_images(pets: Path) -> None:
    """Each part needs one; an empty class folder is a class without images, not nothing."""
    write_folder(pets, {"emu": 2}, first=500)
    with pytest.raises(SplitError, match="class 'emu' has only 2 of the 3 images that it needs in the data set"):
        split(_prepare(pets), seed=0)
    (pets / "yak").mkdir()

    with pytest.raises(SplitError, match="class 'yak' has only 0 of the 3 images"):
        split(_prepare(pets), seed=0)


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    """Which of them is meant cannot be guessed."""
    write_folder(tmp_path / "root" / "pets", {"train/cat": 9, "train/dog": 9, "val/cat": 2, "valid/cat": 2})

    with pytest.raises(FolderError, match="'val' and 'valid' are for the same part; keep one of them"):
        _prepare(tmp_path / "root" / "pets")


@pytest.mark.parametrize("name", [b"c\xff\xfet", b"c\nat", "c\u202eat".encode()])
def test_a_class_without_a_printable_name(pets: Path, name: bytes) -> None:
    """Class names go into events and onto terminals."""
    (pets / "cat").rename(os.fsdecode(os.fsencode(pets) + b"/" + name))

    with pytest.raises(FolderError, match="has no printable name; rename it") as caught:
        _prepare(pets)

    assert str(caught.value).isprintable()


def test_file_names_may_be_anything(pets: Path) -> None:
    """Bytes that are no text and control characters in file names are no hindrance, and stay in the report."""
    (pets / "cat" / "0.png").rename(os.fsdecode(os.fsencode(pets / "cat") + b"/\xff\n.png"))
    (pets / "cat" / "1.png").write_bytes(b"x")

    found = _prepare(pets, max_bad_files=1)

    assert 23 == len(found.labels_N)
    assert all(warning.isprintable() for warning in found.warnings)


def test_nothing_usable_is_refused(pets: Path) -> None:
    """However many bad files are allowed, and even if all images contradict each other."""
    for file in (pets / "cat").iterdir():
        shutil.copyfile(file, pets / "dog" / file.name)
    with pytest.raises(EmptyFolderError, match="none of its images can be used"):
        _prepare(pets)
    for file in pets.rglob("*.png"):
        file.write_bytes(os.urandom(30))

    with pytest.raises(UnreadableImagesError, match="24 of 24 images"):
        _prepare(pets, max_bad_files=1000)


class _Reads:
    """Counts what is read of image files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = Tree.read

        def counted(tree: Tree, *arguments: Any) -> bytes:
            self.count += 1
            return read(tree, *arguments)

        monkeypatch.setattr(Tree, "read", counted)


def test_content_is_read_once(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start hashes and decodes; later ones compare size, times and inode, and read what has changed."""
    monkeypatch.setattr(survey, "_SETTLED_NS", -(10**12))
    reads = _Reads(monkeypatch)
    first = _prepare(pets)
    assert 48 == reads.count

    second = _prepare(pets)
    assert (48, first.fingerprint) == (reads.count, second.fingerprint)

    write_image(pets / "cat" / "0.png", 555)
    assert first.fingerprint != _prepare(pets).fingerprint
    assert 48 + 1 + 24 == reads.count


def test_a_fresh_file_is_not_taken_for_known(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed just now may change again within the same tick, so it is hashed again."""
    reads = _Reads(monkeypatch)
    _prepare(pets)

    _prepare(pets)

    assert (24 + 24 + 24) + 24 == reads.count  # survey, decode, check; survey


def test_a_damaged_index_costs_time_only(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index with a flipped bit, or none, is made anew, and the data set is the same."""
    monkeypatch.setattr(survey, "_SETTLED_NS", -(10**12))
    expected = _prepare(pets).fingerprint
    (index,) = (pets.parent.parent / "cache").glob("index-*.jsonl")
    intact = index.read_bytes()
    for damaged in (intact[:-9] + b"[0,0,0,0]", intact[:100], b"", b"\xff"):
        index.write_bytes(damaged)

        assert expected == _prepare(pets).fingerprint
        lines = {line for line in intact.splitlines() if b".png" in line}
        assert (24, set()) == (len(lines), lines - set(index.read_bytes().splitlines()))
    assert 0o600 == stat.S_IMODE(index.stat().st_mode)


def test_a_lost_report_is_written_again(pets: Path) -> None:
    """There is no cache without its report, for the warnings come from there."""
    (pets / "notes.txt").write_text("x")
    found = _prepare(pets)
    report = found.path.with_name(f"{found.path.name}.report.json")
    for damaged in (None, b"", b"{}", b"[]"):
        report.unlink()
        if damaged is not None:
            report.write_bytes(damaged)

        assert found.warnings == _prepare(pets).warnings


def test_images_that_change_while_they_are_read_are_refused(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache never holds a mixture of two states of a folder."""
    read = ImageSource.read

    def read_late(source: ImageSource) -> Any:
        write_image(pets / "cat" / "5.png", 999)
        return read(source)

    monkeypatch.setattr(ImageSource, "read", read_late)

    with pytest.raises(CorruptFileError, match="<data root>/pets cannot be used: it changed while it was read"):
        _prepare(pets)

    assert not list((pets.parent.parent / "cache").glob("folder-*"))


def test_every_byte_of_a_folder_cache_is_checked(tmp_path: Path) -> None:
    """Like any cache, groups included: damage is found by fingerprint and built anew to the same bytes."""
    folder = tmp_path / "root" / "kau"
    for number in range(60):
        write_image(folder / f"BIRAD{(1, 3, 4)[number % 3]}" / f"2016_BC{number // 2:06}_ CC_L.png", number)
    kau = prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "cache")
    groups = kau.path / "groups.int64"
    intact = groups.read_bytes()
    for damaged in (intact[:-1], intact[:-8], bytes(len(intact)), intact + b"\0"):
        groups.write_bytes(damaged)
        with pytest.raises(CacheError, match="is damaged"):
            open_cached(kau.path, kau.fingerprint)
        assert find_by_fingerprint(tmp_path / "cache", kau.fingerprint) is None

        assert kau.fingerprint == prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "cache").fingerprint
        assert intact == groups.read_bytes()
    assert find_by_fingerprint(tmp_path / "cache", kau.fingerprint) is not None
    assert find_by_fingerprint(tmp_path / "nowhere", kau.fingerprint) is None
