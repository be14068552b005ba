# SPDX-License-Identifier: Apache-2.0
"""Faults that people's folders have, each planted into a tree like KAU-BCMD or a folder of classes."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from image_files import draw, encode, png_chunks, png_header, write_image
from phantoms import draw_phantom
from PIL import Image


def first_image(folder: Path) -> Path:
    """The first JPEG below a folder, in the order of the paths."""
    return sorted(folder.rglob("*.jpg"))[0]


def plant_corrupt_jpeg(folder: Path) -> str:
    """Cut a JPEG short; its header stays intact."""
    path = folder / "2019_BC090001_ CC_L.jpg"
    content = first_image(folder).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path.name


def plant_bomb(folder: Path) -> str:
    """A PNG of a few bytes that declares 400 million pixels."""
    path = folder / "2019_BC090002_ CC_L.png"
    path.write_bytes(png_chunks(png_header(20_000, 20_000), (b"IDAT", b""), (b"IEND", b"")))
    return path.name


def plant_duplicate(source: Path, target_folder: Path) -> str:
    """The same bytes under the name of another patient."""
    path = target_folder / f"2019_BC090003_ CC_L{source.suffix}"
    shutil.copyfile(source, path)
    return path.name


def plant_wrong_extension(folder: Path) -> str:
    """A PNG that is called JPEG."""
    path = folder / "2019_BC090004_ MLO_R.jpg"
    path.write_bytes(encode(draw_phantom(1, 90_004, "MLO", "R", size=(96, 120))))
    return path.name


def plant_hidden_image(folder: Path) -> str:
    """A JPEG that is called a text."""
    path = folder / "2019_BC090005_ MLO_R.txt"
    path.write_bytes(first_image(folder).read_bytes())
    return path.name


def plant_mask(folder: Path) -> str:
    """A tumour mask among the mammograms, by its name."""
    path = folder / "2019_BC090006_ CC_R_mask.png"
    write_image(path, 6)
    return path.name


def plant_unnamed_mask(folder: Path) -> str:
    """A tumour mask whose name does not tell."""
    path = folder / "2019_BC090007_ CC_R.png"
    rows, columns = np.mgrid[0:120, 0:96]
    path.write_bytes(encode(np.where(np.hypot(rows - 60, columns - 40) < 12, 255, 0).astype(np.uint8)))
    return path.name


def plant_saved_again(source: Path, target_folder: Path) -> str:
    """The same picture under the name of another patient, compressed anew."""
    path = target_folder / "2019_BC090008_ CC_L.jpg"
    with Image.open(io.BytesIO(source.read_bytes())) as image:
        image.save(path, "JPEG", quality=75)
    return path.name


def plant_leak(folder: Path) -> str:
    """A patient with an image in another part, by content: a training image is copied into the test part."""
    source = sorted((folder / "train").rglob("*.png"))[0]
    target = folder / "test" / source.parent.name / "copy.png"
    shutil.copyfile(source, target)
    return target.name


def write_sizes_by_class(folder: Path) -> None:
    """Two classes whose images have different sizes."""
    for number in range(24):
        name, size = (("benign", (40, 50)), ("malignant", (50, 40)))[number % 2]
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw(number, size)))
