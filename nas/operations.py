# SPDX-License-Identifier: Apache-2.0
"""The kinds of transformations by name; what they do stands in ``nas.transformations``."""

from __future__ import annotations

from enum import Enum


class Operation(Enum):
    """A kind of transformation: the paper's four (section III.A), then those that make nets smaller or cheaper."""

    ADD_LAYER = "add_layer"
    ADD_BLOCK = "add_block"
    WIDEN = "widen"
    CONCAT = "concat"
    NARROW = "narrow"
    REMOVE_LAYER = "remove_layer"
    ADD_POOL = "add_pool"


class Growth(Enum):
    """How much operations add or take: the paper's fixed numbers, or as much as suits the net at that place."""

    FIXED = "fixed"
    PROPORTIONAL = "proportional"


PAPER_OPERATIONS = (Operation.ADD_LAYER, Operation.ADD_BLOCK, Operation.WIDEN, Operation.CONCAT)
"""The paper's four, in its order, which is the order of a parent's children."""
