# SPDX-License-Identifier: Apache-2.0
"""The ways in which a training may vary its images, by name; ``nas.catalogue`` says which of them suit a data set."""

from __future__ import annotations

AUTO = "auto"
"""What the data set allows; settled when a search starts, so no training meets it."""
NONE = "none"
"""How people write that images are not varied, where a preset says otherwise."""
ALL = "all"
IN_ALL = ("flip", "shift", "rotate", "scale", "intensity")
"""Mirrored left and right; moved; turned; larger or smaller; brighter or darker."""
AFFINE = "affine"
"""Turned, larger or smaller, sheared and moved at once. ``all`` means what it meant before this was there."""
AUGMENTATIONS = (*IN_ALL, AFFINE)
_PARTS_OF_AFFINE = ("shift", "rotate", "scale")


def check_augmentations(text: str) -> None:
    """Check what may be asked for: ``auto``, or what ``parse_augmentations`` reads.

    Raises:
        ValueError: as for ``parse_augmentations``.
    """
    if text != AUTO:
        parse_augmentations(text)


def parse_augmentations(text: str) -> tuple[str, ...]:
    """Read a choice such as ``flip,shift`` or ``all``; the order in which it is written means nothing.

    Raises:
        ValueError: a name is unknown or given twice, or affine stands beside a part of it; the message goes on after
            the name of the setting.
    """
    if not text:
        return ()
    names = text.split(",")
    if text == ALL:
        names = list(IN_ALL)
    if not set(names) <= set(AUGMENTATIONS) or len(set(names)) < len(names):
        raise ValueError(f"must be {AUTO}, {ALL}, {NONE} or some of {','.join(AUGMENTATIONS)}, not {text[:40]!r}")
    twice = next((name for name in _PARTS_OF_AFFINE if name in names), None)
    if AFFINE in names and twice is not None:
        raise ValueError(f"must not name {twice} beside {AFFINE}, which it is a part of")
    return tuple(name for name in AUGMENTATIONS if name in names)
