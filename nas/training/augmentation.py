# SPDX-License-Identifier: Apache-2.0
"""Vary training images on the device, batch by batch; an epoch that is trained again varies them in the same way.

All random numbers of an epoch are drawn before it begins, one row per place in its order. So a training that is
continued in the middle of an epoch uses the same numbers.

Legend: N = images, B = images of one batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nas.augmentations import AFFINE, parse_augmentations
from nas.seeds import derive_seed
from nas.training.request import FitRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far places in an image may move.

    Attributes:
        shift: largest shift, as a share of the side, in each direction.
        degrees: largest rotation, in each direction.
        scale: largest factor of the size; the smallest is its inverse.
        shear: largest shift to the side of a row, as a share of its distance from the middle, in each direction.
    """

    shift: float
    degrees: float
    scale: float
    shear: float


APART = Limits(shift=0.1, degrees=10.0, scale=1.1, shear=0.0)
"""Of the kinds that can be chosen one by one."""
TOGETHER = Limits(shift=0.09, degrees=12.0, scale=1.1, shear=0.15)
"""Of ``affine``, measured on MNIST (issue 12)."""
MOST_GAIN = 1.2
"""Largest factor of the values; the smallest is its inverse."""
MOST_GAMMA = 1.25
"""Largest exponent of the values; the smallest is its inverse."""
_COLUMNS = ("flip", "shift", "shift", "rotate", "scale", "intensity", "intensity")
"""Kind that each random number of an image belongs to. All are drawn, used or not, so that switching one kind on or off
does not change the others."""
_GEOMETRIC = {"flip", "shift", "rotate", "scale", AFFINE}


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
    uniform_N7 = _draw_uniform(request, "augment", epoch, (images, len(_COLUMNS)))
    uniform_N7 *= np.array([column in chosen for column in _COLUMNS])  # 0 changes nothing
    flip_N, moves_N5, limits = uniform_N7[:, 0], np.pad(uniform_N7[:, 1:5], ((0, 0), (0, 1))), APART
    if AFFINE in chosen:
        moves_N5, limits = _draw_uniform(request, AFFINE, epoch, (images, 5)), TOGETHER
    aspect = request.input_shape.width / request.input_shape.height
    maps_N23 = _make_maps(flip_N, moves_N5, limits, aspect) if chosen & _GEOMETRIC else None
    tones_N2 = np.power([MOST_GAIN, MOST_GAMMA], uniform_N7[:, 5:]) if "intensity" in chosen else None
    return Augmentation(maps_N23=_move(maps_N23, device), tones_N2=_move(tones_N2, device))


def _draw_uniform(request: FitRequest, purpose: str, epoch: int, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Draw numbers in [-1, 1), derived from seed, child, epoch and purpose."""
    seed = derive_seed(request.search_seed, purpose, str(request.child_id), epoch)
    # numpy guarantees the raw words of Philox across versions, and not what it makes of them.
    words = np.random.Philox(key=seed).random_raw(math.prod(shape))
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def _make_maps(
    flip_N: npt.NDArray[np.float64], moves_N5: npt.NDArray[np.float64], limits: Limits, aspect: float
) -> npt.NDArray[np.float64]:
    """Turn random numbers in [-1, 1) into affine maps (N, 2, 3) of places in [-1, 1].

    The five moves are right, down, rotation, scale and shear, as shares of their limits. ``aspect`` is W / H: without
    it, an image that is not square would be sheared when it is rotated.
    """
    right, down, turn, size, lean = moves_N5.T
    angle, factor = np.deg2rad(limits.degrees) * turn, limits.scale**-size
    mirror = np.where(flip_N < 0, -1.0, 1.0)
    cosine, sine = np.cos(angle) * factor, np.sin(angle) * factor
    across = np.stack(
        [mirror * cosine, mirror * (limits.shear * lean - sine) / aspect, 2 * limits.shift * right], axis=1
    )
    along = np.stack([sine * aspect, cosine, 2 * limits.shift * down], axis=1)
    return np.stack([across, along], axis=1)


def _move(array: npt.NDArray[np.float64] | None, device: torch.device) -> Tensor | None:
    return None if array is None else torch.from_numpy(array).float().to(device)
