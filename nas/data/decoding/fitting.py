# SPDX-License-Identifier: Apache-2.0
"""Brings an image to its square with the aspect kept: the whole of it, or the breast cut out of its black background.

Shapes: H height, W width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.config import InputShape

_LOOK_SIDE = 96
"""Pixels of the longer side that the breast is looked for in."""
_MARGIN = 2
"""Of them, left around the breast."""
_BACKGROUND = 16
"""Grey level of 255 above which a pixel is no background; film and detectors leave some noise."""
_LEAST_SHARE = 0.02
"""Of the image that the breast takes; with less there is none to be cut out."""


def fit_into(plane: Image.Image, shape: InputShape, fit: str) -> Image.Image:
    """Scale an image of mode L or RGB into ``shape`` and pad with black.

    Args:
        plane: the image.
        shape: what it is brought to.
        fit: ``pad`` for the whole image, ``crop`` for what is no background.
    """
    if fit == "crop":
        plane = plane.crop(find_breast(plane))
    size = fitted_size(plane.size, shape)
    if plane.size != size:
        plane = plane.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    fitted = Image.new(plane.mode, (shape.width, shape.height))
    fitted.paste(plane, ((shape.width - size[0]) // 2, (shape.height - size[1]) // 2))
    return fitted


def fitted_size(size: tuple[int, int], shape: InputShape) -> tuple[int, int]:
    """Return the largest size of that aspect inside the shape, at least one pixel a side; halves round up."""
    width, height = size
    if width * shape.height >= height * shape.width:
        return shape.width, max(1, (2 * height * shape.width + width) // (2 * width))
    return max(1, (2 * width * shape.height + height) // (2 * height)), shape.height


def find_breast(plane: Image.Image) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of the largest bright region, which leaves markers and labels out.

    The whole image if nothing stands out.
    """
    width, height = plane.size
    scale = max(1.0, max(width, height) / _LOOK_SIDE)
    small = plane.convert("L").resize((max(1, round(width / scale)), max(1, round(height / scale))))
    bright_HW = np.asarray(small) > _BACKGROUND
    region = _largest_region(bright_HW)
    if len(region) < _LEAST_SHARE * bright_HW.size:
        return 0, 0, width, height
    top, left = region.min(axis=0) - _MARGIN
    bottom, right = region.max(axis=0) + 1 + _MARGIN
    sides = small.width, small.height
    box = [left / sides[0] * width, top / sides[1] * height, right / sides[0] * width, bottom / sides[1] * height]
    return max(0, int(box[0])), max(0, int(box[1])), min(width, round(box[2])), min(height, round(box[3]))


def _largest_region(bright_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return (row, column) of the pixels of the largest region that is connected by edges; empty if there is none."""
    left = {(int(row), int(column)) for row, column in np.argwhere(bright_HW)}
    largest: list[tuple[int, int]] = []
    while len(left) > len(largest):
        region = [left.pop()]
        for row, column in region:  # grows while it is walked
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if near in left:
                    left.remove(near)
                    region.append(near)
        largest = max(largest, region, key=len)
    return np.array(largest, np.int64).reshape(-1, 2)
