# SPDX-License-Identifier: Apache-2.0
"""KAU-BCMD in every public layout: the right class and patient for each mammogram, and nothing but mammograms."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import write_image
from kau_tree import LAYOUTS, PATIENTS, write_kau_tree

from nas.config import InputShape
from nas.data import (
    CachedDataset,
    EmptyFolderError,
    ImageOptions,
    LeakError,
    OneClassError,
    SplitError,
    find_leaks,
    inspect_division,
    prepare,
    report_division,
    split,
)
from nas.data.folders.kau import find_patient, read_name

SMALL = (24, 30)
THREE = [4 * PATIENTS[1], 4 * PATIENTS[3], 4 * (PATIENTS[4] + PATIENTS[5])]


def _prepare(folder: Path, dataset: str = "kau", **options: Any) -> CachedDataset:
    return prepare(
        dataset, data_root=folder.parent, cache_dir=folder.parent.parent / "cache", options=ImageOptions(**options)
    )


def _report(found: CachedDataset) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(found.path.with_name(f"{found.path.name}.report.json").read_text())
    return report


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of the Kaggle copy, with masks, ultrasound, reports and the sheet; do not write into it."""
    folder = tmp_path_factory.mktemp("nested") / "root" / "kau"
    write_kau_tree(folder, size=SMALL, has_extras=True)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_data(tmp_path: Path, layout: str) -> None:
    """Nested, flat or a folder a case: three classes, all images, 64x64 grey, the same patients."""
    folder = tmp_path / "root" / "kau"
    images = write_kau_tree(folder, layout=layout, size=SMALL)

    found = _prepare(folder)

    assert ("BI-RADS 1", "BI-RADS 3", "BI-RADS 4-5") == found.class_names
    assert THREE == np.bincount(found.labels_N).tolist()
    assert (images, InputShape(channels=1, height=64, width=64)) == (len(found.images_NCHW), found.shape)
    assert found.groups_N is not None
    assert [4] * sum(PATIENTS.values()) == np.bincount(found.groups_N).tolist()
    assert () == found.warnings
    assert sum(PATIENTS.values()) == _report(found)["patients"]


@pytest.mark.parametrize(
    ("class_map", "class_names", "counts"),
    [
        ("", ("BI-RADS 1", "BI-RADS 3", "BI-RADS 4-5"), (42, 8, 7)),
        ("three", ("BI-RADS 1", "BI-RADS 3", "BI-RADS 4-5"), (42, 8, 7)),
        ("binary", ("BI-RADS 1-3", "BI-RADS 4-5"), (50, 7)),
        ("birads", ("BI-RADS 1", "BI-RADS 3", "BI-RADS 4", "BI-RADS 5"), (42, 8, 4, 3)),
    ],
)
def test_class_maps(nested: Path, class_map: str, class_names: tuple[str, ...], counts: tuple[int, ...]) -> None:
    """The paper's three classes unless the user wants two, or the categories as found."""
    found = _prepare(nested, class_map=class_map)

    assert class_names == found.class_names
    assert [4 * count for count in counts] == np.bincount(found.labels_N).tolist()


def test_what_is_no_mammogram_is_left_out_and_counted(nested: Path) -> None:
    """Masks, segmentations, reports, ultrasound and the sheet, beside and inside the class folders."""
    found = _prepare(nested)

    report = _report(found)
    assert ["BIRAD1/Segmentation", "Birad3 masks", "Ultrasound", "reports"] == report["left_out_folders"]
    assert 5 == len(report["left_out_files"])
    assert "left out: 4 folders, 5 files that the data set does not use" == found.warnings[0]
    assert not [warning for warning in found.warnings if "BC0" in warning or ".jpg" in warning]


@pytest.mark.parametrize("name", ["BIRAD{}", "birad {}", "BI-RADS_{}", "bi-rad-{}", "BiRads{}", "BIRADS {}"])
def test_names_of_class_folders(tmp_path: Path, name: str) -> None:
    """With or without hyphen, plural, blank, in any case; a seventh category or a longer name is no class."""
    folder = tmp_path / "root" / "kau"
    for category in (1, 3, 5, 7, 12):
        write_image(folder / name.format(category) / f"2016_BC{category:06}_ CC_L.jpg", category)

    found = _prepare(folder)

    assert [1, 1, 1] == np.bincount(found.labels_N).tolist()
    assert [name.format(12), name.format(7)] == sorted(_report(found)["left_out_folders"])


def test_classes_may_lie_in_a_folder_of_their_own(nested: Path, tmp_path: Path) -> None:
    """An unpacked archive has one folder more; kau:PATH names another place; class folders nearest to the top count."""
    root = tmp_path / "root"
    shutil.copytree(nested, root / "copy" / "King Abdulaziz University Mammograms")

    found = _prepare(root / "copy", "kau:copy")

    assert THREE == np.bincount(found.labels_N).tolist()
    assert "kau:copy" == found.name
    assert found.fingerprint == _prepare(nested).fingerprint


def test_folders_that_contradict_each_other_have_no_class(tmp_path: Path) -> None:
    """A category inside another category is left out, the same one inside itself is not."""
    folder = tmp_path / "root" / "kau"
    for name in ("BIRAD1/a", "BIRAD1/Birad1", "BIRAD3/b3", "BIRAD3/BIRAD5", "BIRAD5/x"):
        write_image(folder / name / "0.jpg", sum(map(ord, name)))

    found = _prepare(folder)

    assert [2, 1, 1] == np.bincount(found.labels_N).tolist()
    assert ["BIRAD3/BIRAD5/0.jpg"] == _report(found)["left_out_files"]


@pytest.mark.parametrize(
    ("parts", "patient"),
    [
        (("BIRAD1", "b1", "2016_BC017021_ MLO_R.jpg"), "BC17021"),
        (("BIRAD 1", "2019_BC007741_ CC_R.jpg"), "BC7741"),
        (("BIRAD 1", "2019_bc7741_MLO_L.JPG"), "BC7741"),
        (("Birad1", "BC000003", "left.jpg"), "BC3"),
        (("Birad1", "2016_BC000003", "2017_BC000004_ CC_L.jpg"), "BC4"),
        (("BIRAD1", "b1", "left.jpg"), None),
        (("BIRAD1", "ABC123.jpg"), None),
    ],
)
def test_patients_are_read_from_names(parts: tuple[str, ...], patient: str | None) -> None:
    """The BC number, whatever the year, the view and the zeros; of the file, else of the nearest folder."""
    assert patient == find_patient(parts)


@pytest.mark.parametrize("seed", range(5))
def test_the_division_is_by_patient(nested: Path, seed: int) -> None:
    """Test a tenth and validation a twentieth of the patients, every class in every part, nobody in two."""
    found = _prepare(nested)

    parts = split(found, seed=seed)

    assert found.groups_N is not None
    patients = [set(found.groups_N[part].tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert [48, 3, 6] == [len(part) for part in patients]
    assert 57 == len(set.union(*patients))
    assert () == find_leaks(found, parts)
    for part in (parts.train, parts.validation, parts.test):
        assert {0, 1, 2} == set(found.labels_N[part].tolist())


def test_a_patient_of_several_years_is_one_patient(tmp_path: Path) -> None:
    """The year is no part of who it is, nor are leading zeros."""
    folder = tmp_path / "root" / "kau"
    for number, name in enumerate(("2016_BC000007_ CC_L", "2019_BC000007_ CC_L", "2019_BC7_ MLO_R")):
        write_image(folder / "BIRAD1" / f"{name}.jpg", number)
    write_image(folder / "BIRAD3" / "2016_BC000008_ CC_L.jpg", 9)

    found = _prepare(folder)

    assert [0, 0, 0, 1] == np.asarray(found.groups_N).tolist()


def test_unknown_patients_are_warned_of(nested: Path, tmp_path: Path) -> None:
    """If no name says whose image it is, the division is by image and says that the accuracy flatters."""
    folder = tmp_path / "root" / "kau"
    shutil.copytree(nested, folder)
    for number, file in enumerate(sorted(folder.rglob("*.jpg"))):
        file.rename(file.with_name(f"{number}.jpg"))

    found = _prepare(folder)
    parts = split(found, seed=0)

    assert found.groups_N is None
    assert found.warnings[0] == (
        "no file name says which patient it is of, so the data set is divided by image: images of one patient may lie "
        "in different parts, and the accuracy flatters"
    )
    assert [round(228 * share) for share in (0.1, 0.05)] == [len(parts.test), len(parts.validation)]


def test_some_unknown_patients_are_patients_of_their_own(nested: Path, tmp_path: Path) -> None:
    """The known ones stay together, and the warning says how many are not known."""
    folder = tmp_path / "root" / "kau"
    shutil.copytree(nested, folder)
    for number, file in enumerate(sorted((folder / "Birad4").rglob("*.jpg"))[:2]):
        file.rename(file.with_name(f"{number}.jpg"))

    found = _prepare(folder)

    assert found.groups_N is not None
    assert 57 + 2 == len(np.unique(found.groups_N))
    assert found.warnings[0].startswith("the patient of 2 images is not known")
    assert () == find_leaks(found, split(found, seed=1))


def test_the_train_limit_keeps_patients_whole(nested: Path) -> None:
    """No more images than asked for, no patient cut in two, and the test part is the same."""
    found = _prepare(nested)
    whole, limited = split(found, seed=2), split(found, seed=2, train_limit=201)

    assert whole.test.tolist() == limited.test.tolist()
    assert 200 == len(limited.train) + len(limited.validation)
    assert found.groups_N is not None
    used = np.concatenate([limited.train, limited.validation])
    assert {4} == set(np.bincount(found.groups_N[used])[np.unique(found.groups_N[used])].tolist())
    with pytest.raises(SplitError, match="validation would get 1 of 25 patients, and there are 3 classes"):
        split(found, seed=2, train_limit=100)


def test_a_planted_leak_is_found(nested: Path) -> None:
    """The check at the end is no tautology: parts that share a patient are refused."""
    found = _prepare(nested)
    assert found.groups_N is not None
    parts = split(found, seed=0)
    leaky = replace(parts, test=np.append(parts.test, parts.train[0]))

    assert (found.groups_N[parts.train[0]],) == find_leaks(found, leaky)
    by_view = np.argsort(np.arange(228) % 4, kind="stable")  # a publisher whose test part is one view of everybody
    published = replace(found, labels_N=found.labels_N[by_view], groups_N=found.groups_N[by_view], test_start=171)
    with pytest.raises(LeakError) as caught:
        split(published, seed=0)
    assert (
        "data set 'kau' cannot be divided: 57 patients have images in more than one part, so the accuracy would "
        "flatter; put all images of a patient into one part"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2016_BC017021_ MLO_R.jpg", ("2016", "MLO", "R")),
        ("2019_bc007741_cc_l.JPG", ("2019", "CC", "L")),
        ("scan 7.jpg", (None, None, None)),
    ],
)
def test_year_view_and_side(name: str, said: tuple[str | None, ...]) -> None:
    """From the name of the file, with its odd blank and in any case."""
    assert said == read_name(("BIRAD1", name))


def test_the_report_says_how_it_was_divided(nested: Path) -> None:
    """Images a class and patients a part, and that the check for leaks found none; no name beside those left out."""
    found = _prepare(nested)
    parts = split(found, seed=4)

    report_division(found, parts, {"seed": 4, "train_limit": 0})

    division = _report(found)["division"]
    assert {"images": 0, "patients": 0} == division["leaks"]
    assert (4, 57) == (division["seed"], sum(division["patients"].values()))
    assert THREE == np.sum(list(division["images"].values()), axis=0).tolist()
    assert min(min(counts) for counts in division["images"].values()) > 0
    leaky = replace(parts, test=np.append(parts.test, parts.train[0]))
    assert {"images": 1, "patients": 1} == inspect_division(found, leaky)["leaks"]


def test_without_class_folders(tmp_path: Path) -> None:
    """The sentence says how they are called."""
    write_image(tmp_path / "root" / "kau" / "benign" / "0.jpg", 1)

    with pytest.raises(EmptyFolderError, match="no image in a folder called like BIRAD1, Birad 3 or BI-RADS_4"):
        _prepare(tmp_path / "root" / "kau")


def test_with_one_class_after_the_map(tmp_path: Path) -> None:
    """Two categories may be one class."""
    for category in (4, 5):
        write_image(tmp_path / "root" / "kau" / f"BIRAD{category}" / "0.jpg", category)

    with pytest.raises(OneClassError, match="its images are of one class"):
        _prepare(tmp_path / "root" / "kau")
    assert 2 == len(_prepare(tmp_path / "root" / "kau", class_map="birads").labels_N)


def test_a_category_that_the_map_does_not_know_is_left_out(nested: Path, tmp_path: Path) -> None:
    """BI-RADS 0 and 2 are none of the paper's three classes."""
    folder = tmp_path / "root" / "kau"
    shutil.copytree(nested, folder)
    for category in (0, 2):
        write_image(folder / f"BIRAD{category}" / f"2016_BC0999{category}_ CC_L.jpg", category)

    found = _prepare(folder)

    assert THREE == np.bincount(found.labels_N).tolist()
    assert {"BIRAD0/2016_BC09990_ CC_L.jpg", "BIRAD2/2016_BC09992_ CC_L.jpg"} <= set(_report(found)["left_out_files"])
    assert ("BI-RADS 0", "BI-RADS 1", "BI-RADS 2") == _prepare(folder, class_map="birads").class_names[:3]
