# SPDX-License-Identifier: Apache-2.0
"""Chooses the images of a folder that are used: readable ones, each content once, and only with one class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from nas.config import InputShape
from nas.data.folders import Arrangement, Item, Parts
from nas.data.images.reading import Surveyed

DEFAULT_SIDE = 64
"""Side in pixels for images that have several sizes or are not square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The images of a folder, each in one of four groups.

    Attributes:
        items: images that are used, in the order of the arrangement.
        faults: why images cannot be read, by path.
        copies: images that are left out because another file has the same content and class. The file in the latest
            part is kept, so that no test image is trained on.
        conflicts: images that are left out because a file with the same content has another class.
    """

    items: tuple[Item, ...]
    faults: Mapping[Parts, str]
    copies: tuple[Item, ...]
    conflicts: tuple[Item, ...]


def choose(arrangement: Arrangement, surveyed: Surveyed) -> Choice:
    """Choose the images of an arrangement that are used."""
    faults = {
        item.file.parts: surveyed[item.file.parts].fault
        for item in arrangement.items
        if surveyed[item.file.parts].fault
    }
    same: dict[str, list[Item]] = defaultdict(list)
    for item in arrangement.items:
        if item.file.parts not in faults:
            same[surveyed[item.file.parts].sha256].append(item)
    conflicts = [item for items in same.values() if len({item.label for item in items}) > 1 for item in items]
    left_out = {item.file.parts for item in conflicts}
    copies = []
    for items in same.values():
        if items[0].file.parts not in left_out:
            items.sort(key=lambda item: (-item.part, item.file.parts))
            copies += items[1:]
    left_out.update(item.file.parts for item in copies)
    left_out.update(faults)
    return Choice(
        items=tuple(item for item in arrangement.items if item.file.parts not in left_out),
        faults=faults,
        copies=tuple(copies),
        conflicts=tuple(conflicts),
    )


def find_shape(choice: Choice, surveyed: Surveyed, *, fixed: InputShape | None, input_size: int) -> InputShape:
    """Return the shape that images are scaled into.

    Args:
        choice: the images that are used.
        surveyed: their headers.
        fixed: the shape of the data set; None if it follows from the images.
        input_size: side in pixels that the user wants. 0 means the side of ``fixed``, or else that of the images if all
            are square and of one size, or else ``DEFAULT_SIDE``.
    """
    if fixed is not None:
        side = input_size or fixed.height
        return InputShape(channels=fixed.channels, height=side, width=side)
    headers = [header for item in choice.items if (header := surveyed[item.file.parts].header) is not None]
    sizes = {(header.width, header.height) for header in headers}
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    side = input_size or (width if width and width == height else DEFAULT_SIDE)
    channels = 1 if all(header.is_grey for header in headers) else 3
    return InputShape(channels=channels, height=side, width=side)
