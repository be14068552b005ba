# SPDX-License-Identifier: Apache-2.0
"""How much operations add or take where that follows the net (docs/adr/0018); the fixed numbers are the paper's.

What is inserted leaves a map about as it was, and what is resized changes by a share of its narrowest output, so a
small net does not become a large one at a stroke.
"""

from __future__ import annotations

LEAST_WIDTH = 4
"""Filters of an inserted convolution; and what narrowing leaves to a convolution and to each branch of a block."""
LEAST_BRANCH = 2
"""Of each width of an inserted block."""


def filters_like(channels: int) -> int:
    """Filters of a convolution that is inserted behind a map of so many channels."""
    return max(LEAST_WIDTH, channels)


def widths_like(channels: int) -> tuple[int, ...]:
    """Widths of a block, in GoogLeNet's order, whose output has about as many channels as the map before it.

    Of the output a quarter comes from the 1x1 branch, half from the 3x3 one, an eighth from each of the others.
    """
    return tuple(max(LEAST_BRANCH, channels // share) for share in (4, 4, 2, 8, 8, 8))


def filters_more(output_widths: tuple[int, ...]) -> int:
    """Filters by which a layer is widened: half of its narrowest output."""
    return max(1, min(output_widths) // 2)


def filters_fewer(output_widths: tuple[int, ...]) -> int:
    """Filters by which a layer is narrowed: a third of its narrowest output, which undoes widening by half."""
    return max(1, min(output_widths) // 3)
