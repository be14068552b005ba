# SPDX-License-Identifier: Apache-2.0
"""What a transformation is: a change of one net into another with all of its arguments.

Gap g means "after layer g": nothing is inserted before the first layer, and nothing into the head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from nas.architecture import Architecture
from nas.blocks import BlockType
from nas.canonical_json import set_fields
from nas.layers import Layer, Shape
from nas.operations import Growth, Operation


class Transformation(ABC):
    """A change of one net into another with all of its arguments; each subclass is a frozen record of one operation."""

    __slots__ = ()

    operation: ClassVar[Operation]
    position: int
    """The layer, counted from 1, that is changed or after which something is inserted."""

    @classmethod
    @abstractmethod
    def candidates(
        cls, architecture: Architecture, shapes: tuple[Shape, ...], growth: Growth
    ) -> Iterator[Transformation]:
        """Yield what a search may draw, by position; not each of them can be applied or leads to a net that fits.

        Args:
            architecture: the parent.
            shapes: of its input and then of every layer's output, so that index p belongs to position p.
            growth: how much is added or taken.
        """

    @abstractmethod
    def apply(self, architecture: Architecture, block_type: BlockType) -> Architecture:
        """Return the child; the position has been checked.

        Raises:
            TransformationError: another argument is out of range, or there would be no net.
        """


class TransformationError(ValueError):
    """A transformation that cannot be applied to this net."""

    def __init__(self, transformation: Transformation, reason: str) -> None:
        super().__init__(f"{format_transformation(transformation)}: {reason}")
        self.transformation = transformation
        self.reason = reason


def format_transformation(transformation: Transformation) -> str:
    """Print a transformation as people read it, for example ``add_layer(4, kernel=3)``.

    Arguments that are the paper's by default are left out then.
    """
    given = {name: value for name, value in set_fields(transformation).items() if name != "position"}
    arguments = [str(transformation.position), *(_format_argument(name, value) for name, value in given.items())]
    return f"{transformation.operation.value}({', '.join(arguments)})"


def positions(architecture: Architecture) -> range:
    """The positions of the layers that can be changed, which are the gaps as well."""
    return range(1, len(architecture.features) + 1)


def insert(architecture: Architecture, position: int, *inserted: Layer) -> Architecture:
    """Put layers behind the one at ``position``."""
    before, after = architecture.layers[:position], architecture.layers[position:]
    return Architecture((*before, *inserted, *after))


def replace_layer(architecture: Architecture, position: int, layer: Layer) -> Architecture:
    """Put a layer in the place of the one at ``position``."""
    before, after = architecture.layers[: position - 1], architecture.layers[position:]
    return Architecture((*before, layer, *after))


def _format_argument(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name}=({','.join(map(str, value))})" if isinstance(value, tuple) else f"{name}={value}"
