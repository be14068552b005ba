# SPDX-License-Identifier: Apache-2.0
"""Vary training images on the device, batch by batch; an epoch that is trained again varies them in the same way.

All random numbers of an epoch are drawn before it begins, one row per place in its order. So a training that is
continued in the middle of an epoch uses the same numbers.

Legend: N = images, B = images of one batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nas.augmentations import parse_augmentations
from nas.seeds import derive_seed
from nas.training.request import FitRequest

MOST_SHIFT = 0.1
"""Largest shift, as a share of the side, in each direction."""
MOST_DEGREES = 10.0
"""Largest rotation, in each direction."""
MOST_SCALE = 1.1
"""Largest factor of the size; the smallest is its inverse."""
MOST_GAIN = 1.2
"""Largest factor of the values; the smallest is its inverse."""
MOST_GAMMA = 1.25
"""Largest exponent of the values; the smallest is its inverse."""
_COLUMNS = ("flip", "shift", "shift", "rotate", "scale", "intensity", "intensity")
"""Kind that each random number of an image belongs to. All are drawn, used or not, so that switching one kind on or off
does not change the others."""
_GEOMETRIC = {"flip", "shift", "rotate", "scale"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Augmentation:
    """How each image of one epoch is varied.

    Attributes:
        maps_N23: affine maps from a place in the new image to the place in the old one that it is taken from, in the
            form of ``affine_grid``; None leaves every pixel in its place.
        tones_N2: gain and gamma; None leaves the values as they are.
    """

    maps_N23: Tensor | None
    tones_N2: Tensor | None

    def apply(self, images_BCHW: Tensor, first: int) -> Tensor:
        """Vary a batch: uint8 to float32 on the same scale, 0 to 255.

        Pixels from beyond the border are black, and black stays black.

        Args:
            images_BCHW: uint8, on the device of the maps.
            first: place of the first image in the order of the epoch.
        """
        x_BCHW, rows = images_BCHW.float(), slice(first, first + len(images_BCHW))
        if self.maps_N23 is not None:
            grid_BHW2 = functional.affine_grid(self.maps_N23[rows], list(x_BCHW.shape), align_corners=False)
            x_BCHW = functional.grid_sample(x_BCHW, grid_BHW2, mode="bilinear", align_corners=False)
        if self.tones_N2 is not None:
            gain_B111, gamma_B111 = self.tones_N2[rows, :, None, None, None].unbind(1)
            x_BCHW = ((x_BCHW / 255.0).clamp(0.0, 1.0) ** gamma_B111 * gain_B111).clamp(max=1.0) * 255.0
        return x_BCHW


def draw_augmentation(request: FitRequest, epoch: int, images: int, device: torch.device) -> Augmentation | None:
    """Draw how an epoch varies its images.

    Args:
        request: says which kinds of augmentation, and seeds the random numbers.
        epoch: counted from 1.
        images: N.
        device: of the images.

    Returns:
        None if the request asks for no augmentation.
    """
    chosen = set(parse_augmentations(request.training.augment))
    if not chosen:
        return None
    seed = derive_seed(request.search_seed, "augment", str(request.child_id), epoch)
    # numpy guarantees the raw words of Philox across versions, and not what it makes of them.
    words = np.random.Philox(key=seed).random_raw(images * len(_COLUMNS))
    uniform_N7 = ((words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(images, len(_COLUMNS))
    uniform_N7 *= np.array([column in chosen for column in _COLUMNS])  # 0 changes nothing
    aspect = request.input_shape.width / request.input_shape.height
    maps_N23 = _make_maps(uniform_N7, aspect) if chosen & _GEOMETRIC else None
    tones_N2 = np.power([MOST_GAIN, MOST_GAMMA], uniform_N7[:, 5:]) if "intensity" in chosen else None
    return Augmentation(maps_N23=_move(maps_N23, device), tones_N2=_move(tones_N2, device))


def _make_maps(uniform_N7: npt.NDArray[np.float64], aspect: float) -> npt.NDArray[np.float64]:
    """Turn random numbers in [-1, 1) into affine maps (N, 2, 3) of places in [-1, 1].

    ``aspect`` is W / H: without it, an image that is not square would be sheared when it is rotated.
    """
    flip, right, down, turn, size = uniform_N7[:, :5].T
    angle, factor = np.deg2rad(MOST_DEGREES) * turn, MOST_SCALE**-size
    mirror = np.where(flip < 0, -1.0, 1.0)
    cosine, sine = np.cos(angle) * factor, np.sin(angle) * factor
    across = np.stack([mirror * cosine, -mirror * sine / aspect, 2 * MOST_SHIFT * right], axis=1)
    along = np.stack([sine * aspect, cosine, 2 * MOST_SHIFT * down], axis=1)
    return np.stack([across, along], axis=1)


def _move(array: npt.NDArray[np.float64] | None, device: torch.device) -> Tensor | None:
    return None if array is None else torch.from_numpy(array).float().to(device)
