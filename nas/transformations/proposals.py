# SPDX-License-Identifier: Apache-2.0
"""The policy that draws the arguments of an operation; the draws come from outside, so a search can record them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from nas.architecture import Architecture
from nas.blocks import BlockType
from nas.config import InputShape
from nas.operations import Growth, Operation
from nas.shapes import ShapeError, output_shapes
from nas.transformations.base import Transformation, TransformationError
from nas.transformations.table import TRANSFORMATIONS, transform

MAX_REDRAWS = 16
"""How often a rejected draw is drawn again."""


class SkipReason(Enum):
    """Why an operation gave no child."""

    NO_VALID_ARGUMENT = "no_valid_argument"
    DUPLICATE = "duplicate"
    TOO_MANY_PARAMETERS = "too_many_parameters"
    TOO_MUCH_MEMORY = "too_much_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A drawn transformation and the net it gives."""

    transformation: Transformation
    architecture: Architecture


@dataclass(frozen=True, slots=True)
class Skipped:
    """No child; ``reason`` is that of the last draw."""

    reason: SkipReason


def valid_transformations(
    architecture: Architecture,
    operation: Operation,
    input_shape: InputShape,
    block_type: BlockType,
    growth: Growth = Growth.FIXED,
) -> tuple[Transformation, ...]:
    """List every transformation of one kind whose result fits the input, by position, kernel 3 before 1.

    Raises:
        ShapeError: the parent itself does not fit.
    """
    shapes = output_shapes(architecture, input_shape)
    return tuple(
        candidate
        for candidate in TRANSFORMATIONS[operation].candidates(architecture, shapes, growth)
        if _is_valid(architecture, candidate, input_shape, block_type)
    )


def propose(
    architecture: Architecture,
    operation: Operation,
    *,
    block_type: BlockType,
    input_shape: InputShape,
    draw: Callable[[int, int], int],
    reject: Callable[[Architecture], SkipReason | None],
    growth: Growth = Growth.FIXED,
) -> Proposal | Skipped:
    """Draw one of all valid transformations, each as likely; if it is rejected, again up to ``MAX_REDRAWS`` times.

    Args:
        architecture: the parent.
        operation: the kind to draw from.
        block_type: what ``add_block`` adds.
        input_shape: what the child must fit.
        draw: ``draw(index, below)`` gives an integer from ``range(below)``; ``index`` counts the draws from 0.
        reject: says why a child is not wanted, or None if it is.
        growth: how much is added or taken.
    """
    choices = valid_transformations(architecture, operation, input_shape, block_type, growth)
    reason = SkipReason.NO_VALID_ARGUMENT
    for index in range(MAX_REDRAWS + 1 if choices else 0):
        transformation = choices[draw(index, len(choices))]
        child = transform(architecture, transformation, block_type)
        rejection = reject(child)
        if rejection is None:
            return Proposal(transformation=transformation, architecture=child)
        reason = rejection
    return Skipped(reason)


def _is_valid(
    architecture: Architecture, transformation: Transformation, input_shape: InputShape, block_type: BlockType
) -> bool:
    try:
        output_shapes(transform(architecture, transformation, block_type), input_shape)
    except (TransformationError, ShapeError):
        return False
    return True
