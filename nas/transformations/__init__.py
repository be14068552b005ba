# SPDX-License-Identifier: Apache-2.0
"""Transformations of a net with explicit arguments: the paper's four, those for smallness, and the policy that draws.

To add one, write its record beside those, a line in ``TRANSFORMATIONS`` and a value of ``nas.operations``.
"""

from __future__ import annotations

from nas.transformations.base import Transformation, TransformationError, format_transformation
from nas.transformations.growth import LEAST_WIDTH
from nas.transformations.paper import (
    ADDED_FILTERS,
    ADDED_KERNELS,
    WIDEN_BY,
    AddBlock,
    AddConcat,
    AddLayer,
    Widen,
)
from nas.transformations.proposals import (
    MAX_REDRAWS,
    Proposal,
    Skipped,
    SkipReason,
    propose,
    valid_transformations,
)
from nas.transformations.smallness import AddPool, Narrow, RemoveLayer
from nas.transformations.table import TRANSFORMATIONS, transform

__all__ = [
    "ADDED_FILTERS",
    "ADDED_KERNELS",
    "LEAST_WIDTH",
    "MAX_REDRAWS",
    "TRANSFORMATIONS",
    "WIDEN_BY",
    "AddBlock",
    "AddConcat",
    "AddLayer",
    "AddPool",
    "Narrow",
    "Proposal",
    "RemoveLayer",
    "SkipReason",
    "Skipped",
    "Transformation",
    "TransformationError",
    "Widen",
    "format_transformation",
    "propose",
    "transform",
    "valid_transformations",
]
