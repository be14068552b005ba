# SPDX-License-Identifier: Apache-2.0
"""Where the labels of mammograms come from: folders, the published sheet, and the map that a user writes."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from image_files import draw, encode, write_folder
from inspected import inspect
from kau_tree import write_kau_tree, write_sheet
from PIL import Image

from nas.config import InputShape
from nas.data import (
    CachedDataset,
    FolderError,
    ImageOptions,
    Inspection,
    Kind,
    OneClassError,
    find_leaks,
    prepare,
    split,
)
from nas.data.decoding.fitting import find_breast, fit_into
from nas.data.folders.sheet import SheetFault, key_of, read_sheet

FEW = {1: 6, 3: 4, 4: 3, 5: 3}
SMALL = (24, 30)


@pytest.fixture
def kau(tmp_path: Path) -> Path:
    """A small tree of class folders without a sheet."""
    write_kau_tree(tmp_path / "root" / "kau", patients=FEW, size=SMALL)
    return tmp_path / "root" / "kau"


def _prepare(folder: Path, dataset: str = "kau", **options: Any) -> CachedDataset:
    cache_dir = folder.parent.parent / "cache"
    return prepare(dataset, data_root=folder.parent, cache_dir=cache_dir, options=ImageOptions(**options))


def _names(inspection: Inspection, kind: Kind) -> list[str]:
    return [name for finding in inspection.findings if finding.kind is kind for name in finding.names]


def test_a_sheet_that_agrees_changes_nothing(kau: Path) -> None:
    """The misspelt heading, names that end in dcm and empty rows are understood; a row too many is no fault."""
    before = _prepare(kau)
    write_sheet(kau)

    after = _prepare(kau)

    assert before.labels_N.tolist() == after.labels_N.tolist()
    assert not any("sheet" in warning for warning in after.warnings)
    assert ["BIRAD 2/2019_BC007741_ CC_R.dcm: in the sheet, and no such image"] == _names(inspect(kau), Kind.NOT_LISTED)
    assert not _names(inspect(kau), Kind.LABEL_CONFLICT)


def test_where_sheet_and_folder_disagree_nobody_knows(kau: Path) -> None:
    """The image is left out, counted in a warning without its name, and named by the check and the report only."""
    image = sorted(kau.rglob("*.jpg"))[0]
    write_sheet(kau, {image.stem: "BIRAD 5"})

    found = _prepare(kau)
    inspection = inspect(kau)

    assert 4 * 16 - 1 == len(found.labels_N)
    assert "left out: 1 image that sheet and folder give different labels" in found.warnings
    said = f"{image.relative_to(kau)}: is BI-RADS 1 by its folder and 5 by the sheet"
    assert [said] == _names(inspection, Kind.LABEL_CONFLICT)
    assert not inspection.is_ok
    report = json.loads(found.path.with_name(f"{found.path.name}.report.json").read_text())
    assert [said] == report["contradictions"]
    assert image.stem not in " ".join(found.warnings)


def test_without_class_folders_the_sheet_gives_the_labels(kau: Path, tmp_path: Path) -> None:
    """All images in one folder: the same labels as before, masks still left out."""
    write_sheet(kau)
    (tmp_path / "root" / "flat" / "images").mkdir(parents=True)
    for image in kau.rglob("*.jpg"):
        image.rename(tmp_path / "root" / "flat" / "images" / image.name.replace(" ", ""))
    (kau / "correctSheetlast.xlsx").rename(tmp_path / "root" / "flat" / "labels.xlsx")
    (tmp_path / "root" / "flat" / "images" / "2016_BC017001_mask.jpg").write_bytes(encode(draw(1), "JPEG"))

    found = _prepare(tmp_path / "root" / "flat", "kau:flat")

    assert [24, 16, 24] == np.bincount(found.labels_N).tolist()
    assert ("BI-RADS 1", "BI-RADS 3", "BI-RADS 4-5") == found.class_names
    assert found.groups_N is not None
    assert 16 == len(set(found.groups_N.tolist()))


def test_a_sheet_that_contradicts_itself(kau: Path) -> None:
    """Two rows with different labels for one image say nothing about it."""
    image = sorted(kau.rglob("*.jpg"))[0]
    rows = f"Image path,Assessment\nBIRAD 1/{image.stem}.dcm,BIRAD 1\nBIRAD 3/{image.stem}.dcm,BIRAD 3\n"
    (kau / "labels.csv").write_text(rows)

    assert [f"{image.relative_to(kau)}: has rows with different labels in the sheet"] == _names(
        inspect(kau), Kind.LABEL_CONFLICT
    )


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff\xfe\x00", bytes(range(256)) * 9])
def test_a_damaged_sheet_is_a_fault_or_no_sheet(name: str, content: bytes) -> None:
    """Nothing else comes of it."""
    with contextlib.suppress(SheetFault):
        assert read_sheet(name, content) is None


def test_a_sheet_that_would_unpack_to_gigabytes_is_refused() -> None:
    """What the archive declares is counted before anything is unpacked."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (129 * 2**20))

    with pytest.raises(SheetFault, match="declares more than 128 MiB or 1000 members"):
        read_sheet("bomb.xlsx", stream.getvalue())


def test_a_damaged_sheet_is_said(kau: Path) -> None:
    """A start goes by the folders and warns; the check calls it a fault and names it."""
    (kau / "correctSheetlast.xlsx").write_bytes(b"PK\x03\x04")

    assert "a sheet of labels cannot be read, so the folders alone give them" in _prepare(kau).warnings
    assert ["correctSheetlast.xlsx: is damaged, or no sheet at all"] == _names(inspect(kau), Kind.UNREADABLE)


def test_tables_of_something_else_are_no_sheets() -> None:
    """Headings decide."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Patient", "Age"])
    stream = io.BytesIO()
    book.save(stream)

    assert read_sheet("ages.xlsx", stream.getvalue()) is None
    assert read_sheet("ages.csv", b"patient,age\n1,50\n") is None


@pytest.mark.parametrize(
    "name",
    ["BIRAD 2/2019_BC007741_ CC_R.dcm", "2019_bc007741_cc_r.JPG", "x\\2019_BC007741_CC_R", "2019_BC007741_ CC_R .png"],
)
def test_names_of_one_image(name: str) -> None:
    """Folder, ending, case and white space do not matter."""
    assert "2019_bc007741_cc_r" == key_of(name)


@pytest.mark.parametrize(
    ("class_map", "class_names", "counts"),
    [
        ("1=benign,3=benign,4=malignant,5=malignant", ("benign", "malignant"), [40, 24]),
        ("5=high,BI-RADS 1=none", ("high", "none"), [12, 24]),
        ("birad 4=a, 3=b", ("a", "b"), [12, 16]),
    ],
)
def test_a_class_map_of_one_s_own(kau: Path, class_map: str, class_names: tuple[str, ...], counts: list[int]) -> None:
    """Classes in the order in which they are named; categories that are not named are left out."""
    found = _prepare(kau, class_map=class_map)

    assert class_names == found.class_names
    assert counts == np.bincount(found.labels_N).tolist()


def test_a_class_map_that_names_nothing_there(kau: Path) -> None:
    """A label that is no category, and categories that are not there."""
    with pytest.raises(FolderError, match="--class-map names 'cat', and its labels are BI-RADS 0 to 6"):
        _prepare(kau, class_map="cat=a,1=b")
    with pytest.raises(OneClassError):
        _prepare(kau, class_map="0=a,1=b")


def test_a_class_map_for_a_folder(tmp_path: Path) -> None:
    """Folders become classes under new names; the others are left out."""
    write_folder(tmp_path / "root" / "pets", {"cat": 4, "dog": 5, "fox": 6})

    found = _prepare(tmp_path / "root" / "pets", "folder:pets", class_map="fox=wild,cat=tame")

    assert ("wild", "tame") == found.class_names
    assert [6, 4] == np.bincount(found.labels_N).tolist()
    with pytest.raises(OneClassError, match="no class folder is in --class-map"):
        _prepare(tmp_path / "root" / "pets", "folder:pets", class_map="owl=wild,bat=tame")


def test_a_group_regex_keeps_patients_whole(tmp_path: Path) -> None:
    """What its group finds in the path is in one part; without a group, all that it matches."""
    folder = tmp_path / "root" / "scans"
    for number in range(80):
        path = folder / "ab"[number // 4 % 2] / f"patient-{number // 4:03}-{number % 4}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw(number)))

    for pattern in ("patient-([0-9]+)", "patient-[0-9]+"):
        found = _prepare(folder, "folder:scans", group_regex=pattern)
        assert found.groups_N is not None
        assert 20 == len(set(found.groups_N.tolist()))
        assert () == find_leaks(found, split(found, seed=1))
    assert _prepare(folder, "folder:scans").groups_N is None
    assert _prepare(folder, "folder:scans", group_regex="nobody").warnings[0].startswith("no file name says")


def test_a_breast_is_cut_out(tmp_path: Path) -> None:
    """The largest bright region counts, a marker in the corner does not; nothing bright is the whole image."""
    pixels = np.zeros((400, 300), np.uint8)
    pixels[100:300, 0:150] = 120
    pixels[10:30, 260:290] = 255

    left, top, right, bottom = find_breast(Image.fromarray(pixels))

    assert left == 0
    assert 85 <= top <= 100
    assert 150 <= right <= 170
    assert 300 <= bottom <= 315
    assert (0, 0, 300, 400) == find_breast(Image.new("L", (300, 400)))
    speck = Image.new("L", (300, 400))
    speck.paste(255, (10, 10, 40, 40))
    assert (0, 0, 300, 400) == find_breast(speck)


def test_cropping_is_another_data_set(kau: Path) -> None:
    """Cut out, a breast fills more of the square; the fingerprint tells the two apart."""
    padded, cropped = _prepare(kau), _prepare(kau, fit="crop")

    assert padded.fingerprint != cropped.fingerprint
    assert (cropped.images_NCHW > 16).mean() > (padded.images_NCHW > 16).mean() + 0.05
    assert (1, 64, 64) == cropped.images_NCHW.shape[1:]


def test_cropping_keeps_the_aspect() -> None:
    """A round breast stays round."""
    rows, columns = np.mgrid[0:400, 0:300]
    plane = Image.fromarray(np.where(np.hypot(rows - 200, columns - 150) < 80, 200, 0).astype(np.uint8))

    fitted = np.asarray(fit_into(plane, InputShape(channels=1, height=64, width=64), "crop"))

    rows_bright, columns_bright = np.flatnonzero(fitted.max(axis=1) > 100), np.flatnonzero(fitted.max(axis=0) > 100)
    assert abs(np.ptp(rows_bright) - np.ptp(columns_bright)) <= 2
    assert np.ptp(rows_bright) > 50
