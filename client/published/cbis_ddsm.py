# SPDX-License-Identifier: Apache-2.0
"""CBIS-DDSM (Lee et al. 2017): four sheets that describe cases, and whole mammograms as DICOM or JPEG.

A row is an abnormality: ``patient_id``, ``pathology``, and ``image file path``, which reads
``Mass-Training_P_00001_LEFT_CC/<study>/<series>/000000.dcm``. Copies name files and folders otherwise, but keep the
first folder (The Cancer Imaging Archive) or the series (copies as JPEG, ``jpeg/<series>/``). Cut-outs and masks have a
number behind the name of the first folder and series of their own, so they are not taken for mammograms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from client.published.listing import Listed, Release, require_found

KINDS = ("mass", "calc")
_SHEETS = {f"{kind}_case_description_{part}_set.csv": part for kind in KINDS for part in ("train", "test")}
_NEEDED = ("patient id", "pathology", "image file path")
_LABELS = {
    "BENIGN_WITHOUT_CALLBACK": "benign without callback",
    "BENIGN": "benign",
    "MALIGNANT": "malignant",
}
_GRAVEST = tuple(_LABELS.values())


def without_other_kinds(release: Release, kind: str) -> Release:
    """The set with the sheets of one of ``KINDS`` only."""
    others = tuple(f"{other}_case_description" for other in KINDS if other != kind)
    return replace(release, files=tuple(file for file in release.files if not file.name.lower().startswith(others)))


def list_cbis_ddsm(release: Release) -> list[Listed]:
    """List the mammograms of the sheets that are there, each with the gravest of its abnormalities.

    A patient may be in the training part of masses and in the test part of calcifications; see ``shared_patients``.

    Raises:
        ClientError: the folder is no copy of the set.
    """
    sheets = {sheet: part for name, part in _SHEETS.items() if (sheet := release.find_sheet(name)) is not None}
    if not sheets:
        raise release.fault(f"there is none of {', '.join(_SHEETS)} in it")
    by_folder: dict[str, list[PurePosixPath]] = defaultdict(list)
    for file in release.images():
        for folder in file.parts[:-1]:
            by_folder[folder].append(file)
    images: dict[PurePosixPath, Listed] = {}
    missing: dict[str, str] = {}
    told: set[str] = set()
    for sheet, part in sheets.items():
        for line, row in release.rows(sheet, _NEEDED, ","):
            where = f"line {line} of {sheet}"
            image = _read_row(release, row, part, where, by_folder)
            told.add(row["image file path"])
            if image is None:
                missing.setdefault(row["image file path"], where)
            else:
                images[image.path] = _gravest(release, images.get(image.path, image), image, where)
    require_found(release, list(missing.values()), len(told))
    return list(images.values())


def _read_row(
    release: Release, row: Mapping[str, str], part: str, where: str, by_folder: Mapping[str, Sequence[PurePosixPath]]
) -> Listed | None:
    """The image of a row; None if it is not there."""
    folders = PurePosixPath(row["image file path"]).parts[:-1]
    label = _LABELS.get(row["pathology"].upper())
    if label is None or len(folders) < 2 or not row["patient id"]:
        raise release.fault(f"{where} needs a patient_id, a pathology ({', '.join(_LABELS)}) and an image file path")
    found = by_folder.get(folders[0]) or by_folder.get(folders[-1]) or ()
    if len(found) > 1:
        raise release.fault(f"{where} could mean {found[0]} or {found[1]}; keep the one that is a whole mammogram")
    return Listed(path=found[0], label=label, group=row["patient id"], split=part) if found else None


def _gravest(release: Release, one: Listed, other: Listed, where: str) -> Listed:
    """Of two abnormalities on one image."""
    if (one.group, one.split) != (other.group, other.split):
        raise release.fault(f"{where} names an image of another patient or part ({one.path})")
    return max(one, other, key=lambda image: _GRAVEST.index(image.label))


def shared_patients(images: Sequence[Listed]) -> int:
    """How many patients are in more than one part."""
    parts: dict[str, set[str]] = defaultdict(set)
    for image in images:
        parts[image.group].add(image.split)
    return sum(len(its) > 1 for its in parts.values())
