# SPDX-License-Identifier: Apache-2.0
"""Finds images that look wrong: masks among photographs, the same picture in two files, misleading file endings.

Shapes: N images, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.data.decoding import Picture, is_dark
from nas.data.folders import KINDS, Item
from nas.data.images import Surveyed

_SIDE = 16
"""Side in pixels of the small copies that are compared to find look-alikes."""
_ALIKE = 1.0
"""Largest mean difference of the grey levels of look-alikes; saving an image as JPEG again changes less."""
_MOST_COMPARED = 20_000
"""Most images that are compared; the time grows with their square."""
_BLACK, _WHITE = 24, 231
_MOST_GREY = 0.01
"""Largest share of pixels between black and white in a mask."""
_ODD = 0.2
"""If a larger share of the data set looks like masks, that is what it consists of, and none is reported."""
_MAGIC = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP"}
"""Format of a file by its first bytes."""
MAGIC_BYTES = 4


class Impressions:
    """Collects what is needed of each image to compare all of them, while they are decoded one by one."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._small: list[npt.NDArray[np.uint8]] = []
        self._odd: dict[int, str] = {}
        self._bits: list[int] = []

    def add(self, item: Item, picture: Picture) -> None:
        """Add one image."""
        self._bits.append(picture.bits)
        levels_HW = picture.pixels_CHW.mean(axis=0)
        number = len(self._items)
        if levels_HW.max() - levels_HW.min() < 8:
            self._odd[number] = "is blank"
        elif ((levels_HW > _BLACK) & (levels_HW < _WHITE)).mean() < _MOST_GREY:
            self._odd[number] = "is black and white only, like a mask"
        small = Image.fromarray(levels_HW.astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        self._items.append(item)
        self._small.append(np.asarray(small))

    def odd(self) -> list[tuple[Item, str]]:
        """Return the images that are blank or look like masks, unless much of the data set does."""
        if len(self._odd) > _ODD * len(self._items):
            return []
        return [(self._items[number], reason) for number, reason in self._odd.items()]

    def dark(self, sample_bits: int) -> list[tuple[Item, int]]:
        """Return the images that use at most a quarter of their grey scale, with the bits of their largest value."""
        return [(item, bits) for item, bits in zip(self._items, self._bits, strict=True) if is_dark(bits, sample_bits)]

    def look_alikes(self) -> list[tuple[Item, Item]]:
        """Return pairs of images with the same picture, without blank ones; none if there are too many images."""
        kept = [number for number in range(len(self._items)) if number not in self._odd]
        if not kept or len(kept) > _MOST_COMPARED:
            return []
        small_NP = np.stack([self._small[number] for number in kept]).reshape(len(kept), -1).astype(np.float32)
        order = np.argsort(small_NP.mean(axis=1), kind="stable")
        small_NP = small_NP[order]
        mean_N = small_NP.mean(axis=1)
        ends_N = np.searchsorted(mean_N, mean_N + _ALIKE, side="right")  # beyond it the means differ by more
        pairs = []
        for place, end in enumerate(ends_N):
            differences = np.abs(small_NP[place + 1 : end] - small_NP[place]).mean(axis=1)
            for other in np.flatnonzero(differences <= _ALIKE):
                numbers = kept[order[place]], kept[order[place + 1 + other]]
                pairs.append((self._items[min(numbers)], self._items[max(numbers)]))
        return sorted(pairs, key=lambda pair: (pair[0].file.parts, pair[1].file.parts))


def wrong_endings(items: Sequence[Item], surveyed: Surveyed) -> list[tuple[Item, str]]:
    """Return the images whose file ending names another format than their content has."""
    wrong = []
    for item in items:
        header = surveyed[item.file.parts].header
        named = KINDS.get(item.file.parts[-1].rpartition(".")[2].casefold())
        if header is not None and header.kind and named != header.kind:
            wrong.append((item, f"is {header.kind} by its content"))
    return wrong


def kind_by_magic(beginning: bytes) -> str | None:
    """Return the format of an image by its first ``MAGIC_BYTES`` bytes; None if it is no known format."""
    return next((kind for magic, kind in _MAGIC.items() if beginning.startswith(magic)), None)
