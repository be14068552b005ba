# SPDX-License-Identifier: Apache-2.0
"""Which images of a folder are used: those that can be read, each content once, and none whose class is in doubt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from nas.config import InputShape
from nas.data.folders import Arrangement, Item, Parts
from nas.data.images.reading import Surveyed

DEFAULT_SIDE = 64
"""Pixels; for images of several sizes, or that are not square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What became of every image file.

    Attributes:
        items: used, in the order of the arrangement.
        faults: of those that cannot be read, by path.
        copies: another file has the same content and class; of several, the one in the latest part is used, so that no
            test image is trained on.
        conflicts: another file has the same content and another class.
    """

    items: tuple[Item, ...]
    faults: Mapping[Parts, str]
    copies: tuple[Item, ...]
    conflicts: tuple[Item, ...]


def choose(arrangement: Arrangement, surveyed: Surveyed) -> Choice:
    """Choose among the images of an arrangement."""
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
    """Say what shape the images are brought to.

    Args:
        choice: the images in use.
        surveyed: their headers.
        fixed: of the data set, where the images do not decide.
        input_size: side in pixels that the user wants; 0 for the data set's own: that of the images if all are square
            and of one size, else ``DEFAULT_SIDE``.
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
