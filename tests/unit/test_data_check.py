# SPDX-License-Identifier: Apache-2.0
"""The check of a folder finds every fault that was planted, names it, and finds nothing where there is nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted_faults as faults
import pytest
from idx_files import write_idx_set
from image_files import draw, encode, write_folder, write_image
from inspected import inspect
from kau_tree import PATIENTS, write_kau_tree

from nas.data import (
    Finding,
    ImageOptions,
    Inspection,
    Kind,
    Level,
    PathOutsideError,
    UnknownDatasetError,
    check,
    prepare,
)
from nas.data.checking.shortcuts import guess_labels
from server.worker.limits import limited_processor


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the nested layout without a fault; do not write into it."""
    folder = tmp_path_factory.mktemp("clean") / "root" / "kau"
    write_kau_tree(folder)
    return folder


@pytest.fixture
def kau(clean: Path, tmp_path: Path) -> Path:
    """The same, to write into."""
    return Path(shutil.copytree(clean, tmp_path / "root" / "kau"))


def one(inspection: Inspection, kind: Kind) -> Finding:
    """The only finding of a kind."""
    (finding,) = [finding for finding in inspection.findings if finding.kind is kind]
    return finding


def test_a_clean_tree_is_ok(clean: Path) -> None:
    """Counts of classes, patients and parts add up, and there is nothing to say."""
    inspection = inspect(clean)

    assert ("kau:kau", "<data root>/kau", 228, 228, 57) == (
        inspection.dataset,
        inspection.location,
        inspection.files,
        inspection.images,
        inspection.patients,
    )
    assert [("BI-RADS 1", 42), ("BI-RADS 3", 8), ("BI-RADS 4-5", 7)] == [
        (one.name, one.patients) for one in inspection.classes
    ]
    assert all(one.images == one.train + one.validation + one.test for one in inspection.classes)
    assert all(min(one.train, one.validation, one.test) > 0 for one in inspection.classes)
    assert [("JPEG", 96, 120)] * 3 == [(size.format, size.width, size.height) for size in inspection.sizes]
    assert 228 == sum(size.images for size in inspection.sizes)
    assert ((), True) == (inspection.findings, inspection.is_ok)


PLANTED: list[tuple[Callable[[Path], str], Kind, str]] = [
    (faults.plant_corrupt_jpeg, Kind.UNREADABLE, "is damaged or cut short"),
    (faults.plant_bomb, Kind.UNREADABLE, "has more than 16,777,216 pixels"),
    (faults.plant_wrong_extension, Kind.WRONG_EXTENSION, "is PNG by its content"),
    (faults.plant_hidden_image, Kind.WRONG_EXTENSION, "is JPEG by its content, and is left out for its name"),
    (faults.plant_mask, Kind.NO_MAMMOGRAM, ""),
    (faults.plant_unnamed_mask, Kind.MASK_LIKE, "is black and white only, like a mask"),
    (
        lambda folder: faults.plant_duplicate(faults.first_image(folder), folder),
        Kind.DUPLICATE,
        "CC_L.jpg = BIRAD1",
    ),
    (
        lambda folder: faults.plant_duplicate(faults.first_image(folder.parents[1] / "Birad3"), folder),
        Kind.TWO_CLASSES,
        "(BI-RADS 3)",
    ),
    (
        lambda folder: faults.plant_saved_again(faults.first_image(folder.parents[1] / "Birad3"), folder),
        Kind.LOOK_ALIKE,
        "(in two classes, of two patients)",
    ),
]


@pytest.mark.parametrize(("plant", "kind", "said"), PLANTED, ids=[kind.word for _, kind, _ in PLANTED])
def test_a_planted_fault_is_found_and_named(kau: Path, plant: Callable[[Path], str], kind: Kind, said: str) -> None:
    """One finding of its kind with the name of the file and what is wrong, and no other fault."""
    name = plant(kau / "BIRAD1" / "b1")

    inspection = inspect(kau)

    finding = one(inspection, kind)
    (shown,) = [shown for shown in finding.names if name in shown]
    assert said in shown
    assert kind.level is not Level.FAULT or not inspection.is_ok
    assert [] == [
        finding.kind
        for finding in inspection.findings
        if finding.kind.level is Level.FAULT and finding.kind is not kind
    ]


def test_few_bits_of_sixteen_are_warned_of(tmp_path: Path) -> None:
    """Which images, what they use, and what to do; told so, the same images are fine, and a start says the same."""
    folder = tmp_path / "root" / "scans"
    for number in range(24):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw(number).astype(np.uint16) * (257 if number == 5 else 16)))

    inspection = inspect(folder, "folder")
    started = prepare(
        "folder:scans", data_root=folder.parent, cache_dir=tmp_path / "cache", options=ImageOptions(input_size=8)
    )

    dark = one(inspection, Kind.DARK)
    sentence = (
        "with at most 12 of 16 bits in use come out dark; if their values never take more, --sample-bits 12 brings "
        "them to the full range"
    )
    assert (23, f"images {sentence}", "a/0.png: uses 12 bits") == (dark.count, dark.sentence, dark.names[0])
    assert f"23 images {sentence}" == started.warnings[0]
    told = inspect(folder, "folder", sample_bits=12)
    assert [Kind.UNREADABLE] == [finding.kind for finding in told.findings if finding.kind.level is not Level.NOTE]
    assert ("b/5.png: holds values of 16 bits, more than the 12 of --sample-bits",) == told.findings[0].names


def test_a_content_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    """Both files are named."""
    folder = tmp_path / "root" / "pets"
    write_folder(folder, {"train/cat": 9, "train/dog": 9, "test/cat": 3, "test/dog": 3})
    name = faults.plant_leak(folder)

    inspection = inspect(folder, "folder")

    assert (f"test/cat/{name} = train/cat/0.png",) == one(inspection, Kind.LEAK).names
    assert not inspection.is_ok


def test_one_class_is_a_fault_that_hides_nothing_else(tmp_path: Path) -> None:
    """The images are counted and looked at all the same."""
    folder = tmp_path / "root" / "pets"
    write_folder(folder, {"cat": 12})
    (folder / "cat" / "broken.png").write_bytes(b"no image")

    inspection = inspect(folder, "folder")

    assert "'cat' is its only class folder" in one(inspection, Kind.ONE_CLASS).sentence
    assert 1 == one(inspection, Kind.UNREADABLE).count
    assert [("cat", 12, 0)] == [(each.name, each.images, each.train) for each in inspection.classes]


def test_too_few_patients_of_a_class(tmp_path: Path) -> None:
    """The sentence of the refusal that a start would give, with the counts."""
    write_kau_tree(tmp_path / "root" / "kau", patients={**PATIENTS, 4: 1, 5: 1}, size=(24, 30))

    finding = one(inspect(tmp_path / "root" / "kau"), Kind.INDIVISIBLE)

    assert "class 'BI-RADS 4-5' has only 2 of the 3 patients that it needs in the data set" in finding.sentence


def test_sizes_that_tell_the_class(tmp_path: Path) -> None:
    """Size and aspect are shortcuts; what is not known is not claimed: the format is the same."""
    folder = tmp_path / "root" / "sizes"
    faults.write_sizes_by_class(folder)

    inspection = inspect(folder, "folder")

    said = [finding.sentence for finding in inspection.findings if finding.kind is Kind.SHORTCUT]
    assert ["the size of an image alone", "the aspect of an image alone"] == [
        sentence[: len(sentence.split(" tells")[0])] for sentence in said
    ]
    assert "balanced accuracy of 100% (chance: 50%)" in said[0]
    assert inspection.is_ok


def test_a_year_that_tells_the_class(tmp_path: Path) -> None:
    """Images of one class from one year, those of the other from another: a net would learn what changed."""
    for number in range(48):
        category, year = ((1, 2016), (4, 2019))[number // 4 % 2]
        name = f"{year}_BC{number // 4:06}_ {('CC', 'MLO')[number % 2]}_{'LR'[number // 2 % 2]}.png"
        write_image(tmp_path / "root" / "kau" / f"BIRAD{category}" / name, number, (30, 40))

    said = [finding.sentence for finding in inspect(tmp_path / "root" / "kau", class_map="binary").findings]

    assert 1 == sum(sentence.startswith("the year of an image alone") for sentence in said)
    assert not [sentence for sentence in said if sentence.startswith(("the view", "the side", "the size"))]


def test_chance_is_no_shortcut() -> None:
    """Of 200 random features of patients with four images each, next to none is called a shortcut."""
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        groups = np.repeat(np.arange(60), 4)
        labels = np.repeat(random.choice(3, 60, p=[0.7, 0.2, 0.1]), 4)
        feature = np.repeat(random.integers(0, 6, 60), 4)
        alarms += guess_labels(feature.tolist(), labels.tolist(), groups.tolist(), 3) is not None

    assert alarms <= 6  # 1 expected


def test_an_image_of_the_same_patient_is_no_hint() -> None:
    """A size that only one patient has says who it is, which a division by patient hides."""
    groups = list(range(40)) * 4
    labels = [group % 2 for group in groups]

    assert guess_labels(groups, labels, groups, 2) is None
    assert guess_labels([group % 2 for group in groups], labels, groups, 2) == (1.0, 0.5)


def test_no_more_names_than_asked_for(kau: Path) -> None:
    """The number stays right."""
    for index in range(5):
        (kau / "BIRAD1" / "b1" / f"{index}.jpg").write_bytes(b"no image %d" % index)

    finding = one(inspect(kau, most_names=2), Kind.UNREADABLE)

    assert (2, 5) == (len(finding.names), finding.count)


def test_a_folder_that_is_nothing_of_the_kind(tmp_path: Path) -> None:
    """Pets are no mammograms; that is an answer and no error."""
    write_folder(tmp_path / "root" / "pets", {"cat": 3})

    inspection = inspect(tmp_path / "root" / "pets")

    assert "no image in a folder called like BIRAD1" in one(inspection, Kind.UNUSABLE).sentence
    assert (3, 0) == (inspection.files, inspection.images)


def test_a_folder_without_one_readable_image(tmp_path: Path) -> None:
    """Everything is named, nothing crashes."""
    for name in ("cat/0.png", "dog/0.png"):
        path = tmp_path / "root" / "pets" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no image")

    inspection = inspect(tmp_path / "root" / "pets", "folder")

    assert 2 == one(inspection, Kind.UNREADABLE).count
    assert [0, 0] == [each.images for each in inspection.classes]


def test_what_a_search_of_the_folder_finds_decoded(kau: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second check reads no file again, and says the same."""
    monkeypatch.setattr("nas.data.images.survey._SETTLED_NS", -(10**12))
    first = inspect(kau)
    monkeypatch.setattr("nas.data.images.reading.read_file", lambda *_: pytest.fail("a file was read again"))

    assert first == inspect(kau)


def test_idx_files(tmp_path: Path) -> None:
    """Counts by part; a false label or a cut file is one fault with the sentence of a start."""
    folder = tmp_path / "root" / "copy"
    write_idx_set(folder)
    intact = inspect(folder, "mnist")
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01")

    damaged = inspect(folder, "mnist")

    assert intact.images == sum(each.train + each.test for each in intact.classes) > 0
    assert "<data root>/copy/train-labels-idx1-ubyte" in one(damaged, Kind.UNREADABLE).names[0]
    assert "ends within its header" in one(damaged, Kind.UNREADABLE).sentence


def test_where_a_check_may_look(kau: Path) -> None:
    """Only below the data root, and only for kinds that have files."""
    write_image(kau.parents[1] / "other" / "a" / "0.png", 1)

    with pytest.raises(PathOutsideError):
        check(
            "kau",
            "../../other",
            data_root=kau.parent,
            cache_dir=kau.parents[1] / "cache",
            options=ImageOptions(),
            seed=0,
            most_names=1,
        )
    with pytest.raises(UnknownDatasetError, match="the data sets are mnist, fashion-mnist, folder, manifest, kau"):
        inspect(kau, "digits")


def test_links_and_devices_are_not_followed(kau: Path, tmp_path: Path) -> None:
    """A link out of the folder, a pipe that nobody writes to, a link in a circle: passed over, counted, not opened."""
    secret = tmp_path / "2016_BC099999_ CC_L.jpg"
    secret.write_bytes(faults.first_image(kau).read_bytes() + b"other bytes")
    target = kau / "BIRAD1" / "b1"
    (target / "2016_BC099999_ CC_L.jpg").symlink_to(secret)
    (target / "2016_BC099998_ CC_L.jpg").symlink_to("/dev/zero")
    (target / "2016_BC099997_ CC_L.jpg").symlink_to(target)
    os.mkfifo(target / "2016_BC099996_ CC_L.jpg")

    inspection = inspect(kau)

    assert (228, True) == (inspection.images, inspection.is_ok)
    assert ("(4 links or special files)",) == one(inspection, Kind.LEFT_OUT).names


def test_a_pattern_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group regex with exponential cost meets the limit on processor time, and one sentence says so."""
    monkeypatch.setattr("server.worker.limits.IMAGE_SECONDS", 1)
    write_folder(tmp_path / "root" / "pets", {"a" * 60: 3, "b": 3})

    inspection = inspect(tmp_path / "root" / "pets", "folder", group_regex="^(?:a+)+$", guard=limited_processor)

    assert "takes too long; write a simpler --group-regex" in one(inspection, Kind.UNUSABLE).sentence
