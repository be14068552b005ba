# SPDX-License-Identifier: Apache-2.0
"""The patients of DICOM headers: their images stay together, and who they are is written nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import encode_dicom, write_dicom, write_scans
from image_files import draw, write_image
from inspected import inspect

from nas.data import (
    CachedDataset,
    ImageOptions,
    Kind,
    Limits,
    find_leaks,
    inspect_division,
    prepare,
    report_division,
    split,
)
from nas.data.decoding.picture import read_header
from nas.folders import PatientSource

PATIENTS = 24


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder of 48 DICOM files of 24 patients."""
    folder = tmp_path / "root" / "scans"
    write_scans(folder, PATIENTS)
    return folder


def read(folder: Path, kind: str = "folder", **options: Any) -> CachedDataset:
    """Prepare a folder of a data root beside which a cache lies."""
    return prepare(
        f"{kind}:{folder.name}",
        data_root=folder.parent,
        cache_dir=folder.parent.parent / "cache",
        options=ImageOptions(**options),
    )


def groups_of(dataset: CachedDataset) -> list[int]:
    """The number of each image's group."""
    assert dataset.groups_N is not None
    return [int(group) for group in dataset.groups_N]


def test_images_of_a_patient_are_in_one_part(scans: Path) -> None:
    """PatientID groups them where nothing else does, whatever the file is called."""
    found = read(scans)

    parts = split(found, seed=3)

    assert [2] * PATIENTS == np.bincount(groups_of(found)).tolist()
    assert () == find_leaks(found, parts)
    assert (PatientSource.DICOM_HEADER, PATIENTS) == ((told := inspect(scans, "folder")).patients_from, told.patients)


def test_the_leak_check_is_in_the_report(scans: Path) -> None:
    """Who divides, how many patients each part has, and that none is in two: what the journal gets, too."""
    found = read(scans)
    parts = split(found, seed=3)

    told = inspect_division(found, parts)
    report_division(found, parts, {"seed": 3})

    (report,) = found.path.parent.glob("*.report.json")
    assert {"seed": 3, **told} == json.loads(report.read_bytes())["division"]
    assert ("DICOM_HEADER", {"train": 20, "validation": 2, "test": 2}) == (told["patients_from"], told["patients"])
    assert {"images": 0, "patients": 0} == told["leaks"]


def test_the_id_is_in_no_file_of_the_cache(scans: Path, tmp_path: Path) -> None:
    """Neither in the private index nor in the private report, where names of files may be."""
    (scans / "benign" / "broken.dcm").write_bytes(encode_dicom(draw(1), PatientID="CANARY-ID-77")[:-9])
    read(scans, max_bad_files=1)
    told = inspect(scans, "folder")

    written = {path.name: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}

    assert any(b"broken.dcm" in content for content in written.values())
    assert [] == [name for name, content in written.items() if b"CANARY" in content.upper()]
    assert "CANARY" not in repr(told).upper()
    assert "CANARY" not in repr(read_header(encode_dicom(draw(1)), Limits())).upper()


def test_a_file_that_comes_later_joins_its_patient(scans: Path) -> None:
    """What is kept of earlier files is enough to tell, and the division does not depend on the key it is kept under."""
    first = read(scans)
    again = read(scans)
    write_dicom(scans / "benign" / "later.dcm", 999, PatientID="CANARY-ID-0")

    later, elsewhere = read(scans), _read_elsewhere(scans)

    assert groups_of(first) == groups_of(again)
    assert [3] + [2] * (PATIENTS - 1) == np.bincount(groups_of(later)).tolist()
    assert later.fingerprint == elsewhere.fingerprint


def _read_elsewhere(folder: Path) -> CachedDataset:
    """As a server with another cache reads it."""
    cache_dir = folder.parent.parent / "other cache"
    return prepare(f"folder:{folder.name}", data_root=folder.parent, cache_dir=cache_dir, options=ImageOptions())


def test_without_ids_images_are_divided(tmp_path: Path) -> None:
    """As of any folder of images, and without a warning; an id of blanks is none."""
    folder = tmp_path / "root" / "scans"
    for number in range(24):
        blank = (None, "", "  ")[number % 3]
        write_dicom(folder / "ab"[number % 2] / f"{number}.dcm", number, PatientID=blank)

    found, told = read(folder), inspect(folder, "folder")

    assert (None, ()) == (found.groups_N, found.warnings)
    assert (PatientSource.NONE, None) == (told.patients_from, told.patients)


def test_an_image_without_an_id_is_a_patient_of_its_own(scans: Path) -> None:
    """Where others have one; the warning counts such images."""
    write_dicom(scans / "benign" / "unknown.dcm", 500, PatientID=None)
    write_image(scans / "malignant" / "picture.png", 501, (16, 16))

    found = read(scans)

    assert PATIENTS + 2 == len(set(groups_of(found)))
    assert found.warnings[0].startswith("the patient of 2 images is not known")


def test_a_pattern_wins(scans: Path) -> None:
    """Whoever names the patients means it: even a pattern that finds nobody lets no header count."""
    told = inspect(scans, "folder", group_regex=r"([0-9]+)\.dcm")

    assert (PatientSource.PATTERN, 2 * PATIENTS) == (told.patients_from, told.patients)
    none = inspect(scans, "folder", group_regex="nobody")
    assert (PatientSource.NONE, None) == (none.patients_from, none.patients)


@pytest.mark.parametrize(("group", "source"), [("g", PatientSource.LIST), ("", PatientSource.DICOM_HEADER)])
def test_groups_of_a_list_win(scans: Path, group: str, source: PatientSource) -> None:
    """The header counts for a list without groups only."""
    files = sorted(scans.rglob("*.dcm"))
    rows = [f"{file.relative_to(scans)},{file.parent.name},{group and f'{group}{n}'}" for n, file in enumerate(files)]
    (scans / "manifest.csv").write_text("path,label,group\n" + "\n".join(rows))

    told = inspect(scans, "manifest")

    assert (source, PATIENTS if source is PatientSource.DICOM_HEADER else 2 * PATIENTS) == (
        told.patients_from,
        told.patients,
    )


def test_kau_goes_by_the_name_of_the_file(tmp_path: Path) -> None:
    """A known name is the publisher's; DICOM files with other names go by their header."""
    named, nameless = tmp_path / "root" / "named", tmp_path / "root" / "nameless"
    for number in range(48):
        patient, folder = number // 2, f"BIRAD{(1, 3, 4)[number // 2 % 3]}"
        write_dicom(named / folder / f"2019_BC{patient:06}_ CC_{'LR'[number % 2]}.dcm", number, PatientID="CANARY-1")
        write_dicom(nameless / folder / f"{number}.dcm", number, PatientID=f"CANARY-{patient}")

    told = [inspect(folder, "kau") for folder in (named, nameless)]

    assert [(PatientSource.FILE_NAME, 24), (PatientSource.DICOM_HEADER, 24)] == [
        (one.patients_from, one.patients) for one in told
    ]


def test_a_patient_in_two_parts_is_named_by_a_file(tmp_path: Path) -> None:
    """The leak is found in the owner's parts; who it is, the answer does not say."""
    folder = tmp_path / "root" / "scans"
    write_scans(folder / "train", PATIENTS)
    write_scans(folder / "test", 6, prefix="OTHER")
    write_dicom(folder / "test" / "benign" / "leak.dcm", 700, PatientID="CANARY-ID-4")

    told = inspect(folder, "folder")

    (leak,) = [finding for finding in told.findings if finding.kind is Kind.LEAK]
    assert ("patient of test/benign/leak.dcm: in train and test",) == leak.names
