# SPDX-License-Identifier: Apache-2.0
"""A CSV file that lists images with label, patient and part: read right, or refused with the number of the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import write_image

from nas.data import (
    CachedDataset,
    DatasetError,
    ImageOptions,
    Inspection,
    Kind,
    LeakError,
    check,
    find_leaks,
    prepare,
    split,
)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Eighty images of twenty patients in one folder, listed by patient and class."""
    folder = tmp_path / "root" / "scans"
    lines = ["Path,Label,Group"]
    for number in range(80):
        write_image(folder / "images" / f"{number:02}.png", number)
        lines.append(f"images/{number:02}.png,{('benign', 'malignant')[number // 4 % 2]},patient {number // 4}")
    (folder / "manifest.csv").write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")
    return folder


def _prepare(folder: Path, dataset: str = "manifest:scans", **options: Any) -> CachedDataset:
    cache_dir = folder.parent.parent / "cache"
    return prepare(dataset, data_root=folder.parent, cache_dir=cache_dir, options=ImageOptions(**options))


def _check(folder: Path) -> Inspection:
    cache_dir = folder.parent.parent / "cache"
    options = ImageOptions()
    return check(
        "manifest", "scans", data_root=folder.parent, cache_dir=cache_dir, options=options, seed=0, most_names=9
    )


@pytest.mark.parametrize("dataset", ["manifest:scans", "manifest:scans/manifest.csv"])
def test_a_list_of_images(scans: Path, dataset: str) -> None:
    """Labels and patients as listed, whatever the folders are called; headings in any case, a mark at the start."""
    found = _prepare(scans, dataset)

    assert ("benign", "malignant") == found.class_names
    assert [40, 40] == np.bincount(found.labels_N).tolist()
    assert found.groups_N is not None
    assert 20 == len(set(found.groups_N.tolist()))
    assert () == find_leaks(found, split(found, seed=3))


def test_a_list_beside_others(scans: Path) -> None:
    """Any name that ends in csv; images that are not listed are left out and counted."""
    lines = (scans / "manifest.csv").read_text(encoding="utf-8").splitlines()
    (scans / "half.csv").write_text("\n".join(lines[:41]), encoding="utf-8")

    found = _prepare(scans, "manifest:scans/half.csv")

    assert 40 == len(found.labels_N)
    assert "left out: 41 files that the data set does not use" == found.warnings[0]


def test_splits_are_kept(scans: Path) -> None:
    """As the list names them, in any spelling of the part folders."""
    rows = [
        f"images/{number:02}.png,{'ab'[number // 4 % 2]},p{number // 4},{('Training', 'val', 'TEST')[number // 32]}"
        for number in range(80)
    ]
    (scans / "manifest.csv").write_text("path,label,group,split\n" + "\n".join(rows))

    parts = split(_prepare(scans), seed=9)

    assert [32, 32, 16] == [len(parts.train), len(parts.validation), len(parts.test)]
    assert list(range(64, 80)) == parts.test.tolist()


def test_a_patient_in_two_splits_is_a_leak(scans: Path) -> None:
    """A start refuses it with the number of patients; the check names them."""
    rows = [
        f"images/{number:02}.png,{'ab'[number // 4 % 2]},p{number // 4},{'test' if number % 4 > 1 else 'train'}"
        for number in range(80)
    ]
    (scans / "manifest.csv").write_text("path,label,group,split\n" + "\n".join(rows))

    with pytest.raises(LeakError, match="20 patients have images in more than one part"):
        split(_prepare(scans), seed=0)
    (leak,) = [finding for finding in _check(scans).findings if finding.kind is Kind.LEAK]
    assert "p0: in train and test" == leak.names[0]
    assert (20, 9) == (leak.count, len(leak.names))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the first line of its list has to name the columns path and label"),
        ("file,class\na,b\n", "the first line of its list has to name the columns path and label"),
        ("path,label\n", "manifest.csv lists no image"),
        ("path,label\n../../secret.png,a\n", "line 2 of its list needs a path below the list's folder, and a label"),
        ("path,label\nimages/00.png,\n", "line 2 of its list needs a path below the list's folder, and a label"),
        ("path,label\nimages/00.png,a\nimages/x.png,b\n", "1 of the files that it lists are not there (first: line 3)"),
        ("path,label,split\nimages/00.png,a,someday\n", "line 2 of its list names a split that is not train,"),
        (
            "path,label,split\nimages/00.png,a,test\nimages/01.png,b,\n",
            "some lines of the list name a split",
        ),
        ("path,label\nimages/00.png,a\nimages/01.png,a\n", "its images are of one class"),
        ("path,label\n\xff\xfe", "its list is no UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_used(scans: Path, content: str, sentence: str) -> None:
    """One sentence that names the line and nothing that stands in it."""
    (scans / "manifest.csv").write_bytes(content.encode("latin-1"))

    with pytest.raises(DatasetError) as caught:
        _prepare(scans)

    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "x.png" not in str(caught.value)


def test_without_a_list(scans: Path) -> None:
    """The sentence names the file that is looked for."""
    (scans / "manifest.csv").unlink()

    with pytest.raises(DatasetError) as caught:
        _prepare(scans)

    assert "there is no 'manifest.csv' in it, which has to list its images" in str(caught.value)


def test_an_image_that_is_listed_twice(scans: Path) -> None:
    """In the same way: once. In two ways: nobody knows, so it is left out and the check names the lines."""
    with (scans / "manifest.csv").open("a") as file:
        file.write("images/00.png,benign,patient 0\nimages/01.png,malignant,patient 0\n")

    assert 79 == len(_prepare(scans).labels_N)
    (conflict,) = [finding for finding in _check(scans).findings if finding.kind is Kind.LABEL_CONFLICT]
    assert ("images/01.png: is listed differently in lines 3 and 84",) == conflict.names


def test_files_that_are_not_there_are_named_by_the_check(scans: Path) -> None:
    """Beside everything else that it has to say."""
    with (scans / "manifest.csv").open("a") as file:
        file.write("images/gone.png,benign,patient 0\n")

    inspection = _check(scans)

    names = {finding.kind: finding.names for finding in inspection.findings}
    assert ("line 83: images/gone.png is not there",) == names[Kind.NOT_LISTED]
    assert Kind.UNUSABLE in names
    assert [40, 40] == [one.images for one in inspection.classes]
