# SPDX-License-Identifier: Apache-2.0
"""The ways in which a training may vary its images, by name."""

from __future__ import annotations

AUGMENTATIONS = ("flip", "shift", "rotate", "scale", "intensity")
"""Mirrored left and right; moved; turned; larger or smaller; brighter or darker."""
ALL = "all"


def parse_augmentations(text: str) -> tuple[str, ...]:
    """Read a choice such as ``flip,shift`` or ``all``; the order in which it is written means nothing.

    Raises:
        ValueError: a name is unknown or given twice; the message goes on after the name of the setting.
    """
    if not text:
        return ()
    names = text.split(",")
    if text == ALL:
        names = list(AUGMENTATIONS)
    if not set(names) <= set(AUGMENTATIONS) or len(set(names)) < len(names):
        raise ValueError(f"must be {ALL} or some of {','.join(AUGMENTATIONS)}, not {text[:40]!r}")
    return tuple(name for name in AUGMENTATIONS if name in names)
