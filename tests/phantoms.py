# SPDX-License-Identifier: Apache-2.0
"""Breast-shaped phantoms whose lesions carry the label: what a net can learn, and nothing else that it could learn.

The anatomy (size, density, muscle) belongs to the patient, the tissue to the image, the lesion to the label: none in
BI-RADS 1, a smooth oval in 3, a lobed mass in 4, a bright one with spicules in 5. As in KAU-BCMD both breasts share
the label. Everything follows from the seed.

Shapes: H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

VIEWS = tuple((view, side) for view in ("CC", "MLO") for side in ("L", "R"))
"""Two views of two sides a patient."""
PUBLIC_IMAGES = {1: 1847, 3: 265, 4: 72, 5: 22}
"""Images of each BI-RADS category in the public copy of KAU-BCMD."""

_TISSUE_GRAINS = (40, 16, 6)
"""Pixels of a 250 pixel high image that the blobs of fat and gland measure."""
Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Lesion:
    """How a category shows.

    Attributes:
        radius: as a share of the height.
        brightness: above the tissue, in grey levels.
        lobes, spicules: how far the edge goes in and out, as a share of the radius.
    """

    radius: float
    brightness: float
    lobes: float = 0.0
    spicules: float = 0.0


_LESIONS = {
    3: _Lesion(radius=0.055, brightness=70),
    4: _Lesion(radius=0.085, brightness=100, lobes=0.35),
    5: _Lesion(radius=0.1, brightness=130, lobes=0.15, spicules=0.8),
}


def scale_patients(divisor: int, *, least: int = 3) -> dict[int, int]:
    """Patients of each category so that there is one image for ``divisor`` of the public copy.

    Args:
        divisor: 1 gives the public copy's 552 patients.
        least: of each category; a category needs one patient for each part.
    """
    return {category: max(least, round(images / len(VIEWS) / divisor)) for category, images in PUBLIC_IMAGES.items()}


def count_images(patients: Mapping[int, int]) -> int:
    """Images of so many patients."""
    return len(VIEWS) * sum(patients.values())


def draw_phantom(
    label: int, patient: int, view: str, side: str, *, seed: int = 0, size: tuple[int, int] = (200, 250)
) -> npt.NDArray[np.uint8]:
    """Draw one mammogram on black as (H, W); the chest wall is left on side L and right on side R.

    Args:
        label: BI-RADS category, 1 or 3 to 5.
        patient: number of the patient; equal anatomy in all four images.
        view: ``CC`` or ``MLO``.
        side: ``L`` or ``R``.
        seed: of the whole set.
        size: width and height in pixels.
    """
    width, height = size
    person = np.random.default_rng([seed, patient])
    depth, reach, density = person.uniform(0.6, 0.85), person.uniform(0.34, 0.46), person.uniform(80, 125)
    random = np.random.default_rng([seed, patient, 1 + VIEWS.index((view, side))])
    y_HW, x_HW = np.mgrid[0:height, 0:width] / height
    depth *= width / height
    shape_HW = (x_HW / depth) ** 2 + ((y_HW - 0.5) / reach) ** 2
    inside_HW = shape_HW < 1
    level_HW = density + _draw_tissue(random, size) * 16 - 45 * np.clip(shape_HW, 0, 1) ** 3
    if view == "MLO":
        muscle_HW = x_HW * 1.3 + y_HW < random.uniform(0.32, 0.42)
        level_HW = np.where(muscle_HW, density + 45, level_HW)
        inside_HW |= muscle_HW
    if label in _LESIONS:
        angle, distance = random.uniform(-1.2, 1.2), random.uniform(0.15, 0.6)
        centre = (0.12 + distance * (depth - 0.12) * np.cos(angle), 0.5 + distance * reach * np.sin(angle))
        level_HW = level_HW + _draw_lesion(random, _LESIONS[label], x_HW - centre[0], y_HW - centre[1])
    noise_HW = random.normal(0, 4, (height, width))
    pixels_HW = np.where(inside_HW, np.clip(level_HW + noise_HW, 12, 255), 0).astype(np.uint8)
    return pixels_HW if side == "L" else np.ascontiguousarray(pixels_HW[:, ::-1])


def _draw_tissue(random: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Blobs of several sizes, each with a standard deviation of about 1."""
    width, height = size
    tissue_HW: Pixels = np.zeros((height, width))
    for grain in _TISSUE_GRAINS:
        cells = max(2, round(250 / grain))
        coarse = random.normal(0, 1, (cells + 1, cells * width // height + 2)).astype(np.float32)
        tissue_HW += np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    tissue_HW /= math.sqrt(len(_TISSUE_GRAINS))
    return tissue_HW


def _draw_lesion(random: np.random.Generator, lesion: _Lesion, x_HW: Pixels, y_HW: Pixels) -> Pixels:
    """Grey levels to add around the origin of ``x_HW`` and ``y_HW``."""
    angle_HW = np.arctan2(y_HW, x_HW)
    turn, stretch = random.uniform(0, 2 * np.pi), random.uniform(0.8, 1.25)
    radius = lesion.radius * random.uniform(0.85, 1.2)
    lobes_HW = lesion.lobes * np.sin(3 * angle_HW + turn)
    spicules_HW = lesion.spicules * np.clip(np.cos(11 * angle_HW + turn), 0, 1) ** 4
    edge_HW = radius * (1 + lobes_HW + spicules_HW)
    distance_HW = np.hypot(x_HW * stretch, y_HW / stretch)
    fade_HW: Pixels = lesion.brightness / (1 + np.exp(np.clip((distance_HW - edge_HW) * 90, -50, 50)))
    return fade_HW
