# SPDX-License-Identifier: Apache-2.0
"""Folders like the public copies of KAU-BCMD, with breast-shaped phantoms whose lesions carry the label.

By hand: ``python tests/kau_tree.py FOLDER --layout nested --pixels 1200 1500``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

PATIENTS = {1: 42, 3: 8, 4: 4, 5: 3}
"""Patients a BI-RADS category: the public copy's 1847/265/72/22 images in small, with enough for every part."""
VIEWS = [(view, side) for view in ("CC", "MLO") for side in ("L", "R")]

LAYOUTS: dict[str, Callable[[int, str], str]] = {
    "nested": lambda category, patient: {1: "BIRAD1/b1", 3: "Birad3/b3", 4: "Birad4/b4", 5: "Birad5/Birad5"}[category],
    "flat": lambda category, patient: f"BIRAD {category}",
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
) -> int:
    """Write two views of two sides for each patient; returns how many images there are.

    Args:
        folder: made if it is missing.
        layout: one of ``LAYOUTS``.
        patients: how many of each BI-RADS category.
        size: width and height of the images in pixels.
        has_extras: whether masks, ultrasound, a report and a sheet lie there, too.
    """
    number = 0
    for category, count in patients.items():
        for _ in range(count):
            number += 1
            patient = f"BC{17_000 + number:06}"
            target = folder / LAYOUTS[layout](category, patient)
            target.mkdir(parents=True, exist_ok=True)
            for view, side in VIEWS:
                pixels_HW = draw_phantom(category, view, side, size, seed=number)
                Image.fromarray(pixels_HW).save(
                    target / f"{2016 + number % 4}_{patient}_ {view}_{side}.jpg", quality=90
                )
    if has_extras:
        _write_extras(folder)
    return 4 * number


def draw_phantom(category: int, view: str, side: str, size: tuple[int, int], *, seed: int) -> npt.NDArray[np.uint8]:
    """Draw a breast on black as (H, W), with a lesion that grows and brightens with the category."""
    width, height = size
    random = np.random.default_rng([seed, category, VIEWS.index((view, side))])
    y_H1, x_1W = np.mgrid[0:height, 0:width][0] / height, np.mgrid[0:height, 0:width][1] / width
    depth, reach = random.uniform(0.55, 0.8), random.uniform(0.34, 0.44)
    breast = (x_1W / depth) ** 2 + ((y_H1 - 0.5) / reach) ** 2 < 1
    if view == "MLO":
        breast |= x_1W + y_H1 < random.uniform(0.3, 0.45)  # the pectoral muscle
    coarse = random.normal(0, 1, (height // 8 + 1, width // 8 + 1))
    tissue = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    level = 95 + 22 * tissue + random.normal(0, 3, (height, width))
    if category >= 3:
        radius = {3: 0.05, 4: 0.1, 5: 0.13}[category]
        x, y = random.uniform(0.2, 0.4), random.uniform(0.4, 0.6)
        angle = np.arctan2(y_H1 - y, x_1W - x)
        edge = radius * (1 + (0.25 * np.sin(9 * angle) if category > 3 else 0))
        distance = np.hypot(x_1W - x, (y_H1 - y) * height / width)
        level = level + {3: 60, 4: 110, 5: 130}[category] / (1 + np.exp((distance - edge) * 80))
    pixels = np.where(breast, np.clip(level, 20, 255), 0).astype(np.uint8)
    return pixels if side == "L" else pixels[:, ::-1].copy()


def _write_extras(folder: Path) -> None:
    """What lies beside the mammograms in the public copies."""
    square = Image.new("L", (32, 32), 200)
    for target in ("Ultrasound/Birad3", "Birad3 masks", "BIRAD1/Segmentation", "reports"):
        (folder / target).mkdir(parents=True, exist_ok=True)
        square.save(folder / target / "2016_BC017001_ CC_L.jpg")
    (folder / "reports" / "2016_BC017001.txt").write_text("no finding\n")
    (folder / "correctSheetlast.xlsx").write_bytes(b"PK\x03\x04")


def main() -> None:
    """Write a tree by hand."""
    parser = argparse.ArgumentParser(description="Write a folder like KAU-BCMD.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", choices=list(LAYOUTS), default="nested")
    parser.add_argument("--pixels", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), default=(300, 380))
    parser.add_argument("--times", type=int, default=1, help="how many times the usual number of patients")
    arguments = parser.parse_args()
    patients = {category: count * arguments.times for category, count in PATIENTS.items()}
    images = write_kau_tree(
        arguments.folder, layout=arguments.layout, patients=patients, size=tuple(arguments.pixels), has_extras=True
    )
    print(f"{images} images in {arguments.folder}")


if __name__ == "__main__":
    main()
