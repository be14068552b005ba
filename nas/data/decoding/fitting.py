# SPDX-License-Identifier: Apache-2.0
"""Scales an image into the wanted shape with its aspect kept: the whole image, or the breast without its background.

Shapes: H height, W width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.config import InputShape

_LOOK_SIDE = 96
"""The breast is looked for in a small copy of the image; pixels of the copy's longer side."""
_MARGIN = 2
"""Pixels of the small copy that stay around the breast on each side."""
_BACKGROUND = 16
"""Highest grey level (0 to 255) of the background, which is not quite black: film and detectors are noisy."""
_LEAST_SHARE = 0.02
"""Smallest share of the image that a breast takes; where no region is as large, the image is not cropped."""


def fit_into(plane: Image.Image, shape: InputShape, fit: str) -> Image.Image:
    """Scale an image of mode L or RGB into ``shape``, centred, and pad it with black.

    Args:
        plane: the image.
        shape: of the result.
        fit: ``pad`` takes the whole image, ``crop`` only the box around the breast.
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
    """Return the largest (width, height) with the aspect of ``size`` that fits into the shape.

    Each side has at least one pixel; halves of a pixel round up.
    """
    width, height = size
    if width * shape.height >= height * shape.width:
        return shape.width, max(1, (2 * height * shape.width + width) // (2 * width))
    return max(1, (2 * width * shape.height + height) // (2 * height)), shape.height


def find_breast(plane: Image.Image) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of the largest bright region, in pixels of the image.

    Markers and labels are smaller regions, so they stay outside. Without a region of some size the box is the image.
    """
    width, height = plane.size
    scale = max(1.0, max(width, height) / _LOOK_SIDE)
    small = plane.convert("L").resize((max(1, round(width / scale)), max(1, round(height / scale))))
    bright_HW = np.asarray(small) > _BACKGROUND
    region = _largest_region(bright_HW)
    if region is None:
        return 0, 0, width, height
    rows, columns = region
    top, left = rows.start - _MARGIN, columns.start - _MARGIN
    bottom, right = rows.stop + _MARGIN, columns.stop + _MARGIN
    sides = small.width, small.height
    box = [left / sides[0] * width, top / sides[1] * height, right / sides[0] * width, bottom / sides[1] * height]
    return max(0, int(box[0])), max(0, int(box[1])), min(width, round(box[2])), min(height, round(box[3]))


def _largest_region(bright_HW: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the rows and columns of the largest region of pixels that touch by their edges.

    Of regions of the same size it is the one that comes first from the top left.

    Returns:
        None if that region is too small to be a breast.
    """
    from scipy import ndimage  # a tenth of a second, and only --fit crop needs it

    regions_HW, _ = ndimage.label(bright_HW)
    sizes = np.bincount(regions_HW.ravel())
    sizes[0] = 0  # the background
    largest = int(sizes.argmax())
    if sizes[largest] < _LEAST_SHARE * bright_HW.size:
        return None
    rows, columns = ndimage.find_objects(regions_HW)[largest - 1]
    return rows, columns
