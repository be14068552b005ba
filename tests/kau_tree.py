# SPDX-License-Identifier: Apache-2.0
"""Folders like the public copies of KAU-BCMD, with the phantoms of ``phantoms.py`` in them.

By hand: ``python tests/kau_tree.py FOLDER --layout nested --pixels 1200 1500``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import openpyxl
from phantoms import VIEWS, draw_phantom, scale_patients
from PIL import Image

PATIENTS = {1: 42, 3: 8, 4: 4, 5: 3}
"""Patients per BI-RADS category: the public copy's 1847/265/72/22 images in small, with enough for every part."""

LAYOUTS: dict[str, Callable[[int, str], str]] = {
    "nested": lambda category, patient: {1: "BIRAD1/b1", 3: "Birad3/b3", 4: "Birad4/b4", 5: "Birad5/Birad5"}[category],
    "flat": lambda category, patient: f"BIRAD {category}",
    "lower case": lambda category, patient: f"kau-bcmd/bi-rads_{category}/images",
    "cases": lambda category, patient: f"Birad{category}/{patient}",
}
"""The folder of an image, as in public code."""


def write_kau_tree(
    folder: Path,
    *,
    layout: str = "nested",
    patients: Mapping[int, int] = PATIENTS,
    size: tuple[int, int] = (96, 120),
    has_extras: bool = False,
    seed: int = 0,
) -> int:
    """Write two views of two sides for each patient; returns how many images there are.

    Args:
        folder: made if it is missing.
        layout: one of ``LAYOUTS``.
        patients: how many of each BI-RADS category.
        size: width and height of the images in pixels.
        has_extras: whether masks, ultrasound, a report and a sheet lie there, too.
        seed: another one gives other images of other patients.
    """
    number = 0
    for category, count in patients.items():
        for _ in range(count):
            number += 1
            patient = f"BC{17_000 + number:06}"
            target = folder / LAYOUTS[layout](category, patient)
            target.mkdir(parents=True, exist_ok=True)
            for view, side in VIEWS:
                pixels_HW = draw_phantom(category, number, view, side, seed=seed, size=size)
                Image.fromarray(pixels_HW).save(
                    target / f"{2016 + number % 4}_{patient}_ {view}_{side}.jpg", quality=90
                )
    if has_extras:
        _write_extras(folder)
    return 4 * number


def _write_extras(folder: Path) -> None:
    """What lies beside the mammograms in the public copies."""
    square = Image.new("L", (32, 32), 200)
    for target in ("Ultrasound/Birad3", "Birad3 masks", "BIRAD1/Segmentation", "reports"):
        (folder / target).mkdir(parents=True, exist_ok=True)
        square.save(folder / target / "2016_BC017001_ CC_L.jpg")
    (folder / "reports" / "2016_BC017001.txt").write_text("no finding\n")
    write_sheet(folder)


def write_sheet(folder: Path, changes: Mapping[str, str] | None = None) -> None:
    """Write the sheet of labels as published: a misspelt heading, names that end in dcm, an empty row, a row too many.

    Args:
        folder: of the tree; its class folders give the labels.
        changes: labels that the sheet gets wrong, by the name of the image without its ending.
    """
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Patient ID", "Assesment", "Image path"])
    for path in sorted(folder.rglob("*.jpg")):
        category = re.search("birad ?([0-6])", str(path.relative_to(folder)), re.IGNORECASE)
        if category is not None and "Ultrasound" not in path.parts and "Segmentation" not in path.parts:
            label = (changes or {}).get(path.stem, f"BIRAD {category[1]}")
            sheet.append([None, label, f"BIRAD {category[1]}/{path.stem}.dcm"])
    sheet.append([None, None, None])
    sheet.append([None, "BIRAD 2", "BIRAD 2/2019_BC007741_ CC_R.dcm"])
    book.save(folder / "correctSheetlast.xlsx")


def main() -> None:
    """Write a tree by hand."""
    parser = argparse.ArgumentParser(description="Write a folder like KAU-BCMD.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", choices=list(LAYOUTS), default="nested")
    parser.add_argument("--pixels", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), default=(200, 250))
    parser.add_argument("--divisor", type=int, default=10, help="one image for so many of the public copy")
    parser.add_argument("--least", type=int, default=3, help="patients of each category, however rare it is")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images = write_kau_tree(
        arguments.folder,
        layout=arguments.layout,
        patients=scale_patients(arguments.divisor, least=arguments.least),
        size=tuple(arguments.pixels),
        has_extras=True,
        seed=arguments.seed,
    )
    print(f"{images} images in {arguments.folder}")


if __name__ == "__main__":
    main()
