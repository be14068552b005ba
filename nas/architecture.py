# SPDX-License-Identifier: Apache-2.0
"""The immutable value at the centre of everything: a CNN as a sequence of layers (paper section IV.C).

Layers are numbered from 1, as the paper's ``Widen(M, 3, 32)`` does; the input is no layer. ``Concat()`` joins the
outputs of the two layers before it, the nearer one's channels first, so the sequence alone says which edges there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.blocks import BLOCKS, BlockType, make_block
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Layer, Linear, Pool

LAYER_KINDS: tuple[type[Layer], ...] = (Conv, Pool, *BLOCKS.values(), Concat, Flatten, GlobalAverage, Linear)
"""Every kind of layer that a net may have."""

_VECTORS = (Flatten, GlobalAverage)
"""What turns the last map into the vector that the head reads."""

_LEAST_POOLED = 12
"""Rows of the smallest map that a narrow initial model pools."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A CNN: any number of feature layers, then ``F()`` or ``GAP()``, then ``FC(n)``.

    Raises:
        ArchitectureError: the head is none of the two, stands elsewhere too, or a ``Concat()`` has fewer than two
            layers before it.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or not isinstance(self.layers[-2], _VECTORS) or not isinstance(self.layers[-1], Linear):
            raise ArchitectureError(len(self.layers), "a net ends with F() FC(n) or GAP() FC(n)")
        for position, layer in enumerate(self.layers[:-2], start=1):
            if isinstance(layer, (*_VECTORS, Linear)):
                raise ArchitectureError(position, "F(), GAP() and FC(n) stand only at the end")
            if layer.source_count > 1 and layer.source_count >= position:
                raise ArchitectureError(position, f"{layer.name}() needs two layers before it")

    @property
    def features(self) -> tuple[Layer, ...]:
        """The layers before the head."""
        return self.layers[:-2]

    @property
    def classes(self) -> int:
        """Outputs of the head."""
        head = self.layers[-1]
        assert isinstance(head, Linear)  # noqa: S101 - __post_init__ holds it
        return head.outputs


class ArchitectureError(ValueError):
    """A sequence of layers that is no net; ``position`` counts from 1."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"layer {position}: {reason}")
        self.position = position
        self.reason = reason


def initial_architecture(block_type: BlockType, classes: int) -> Architecture:
    """The initial model M of the paper (section III.D and IV.D): one convolution, one block, a head."""
    identity = Pool(step=1, size=1)
    return Architecture(
        (Conv(filters=64, kernel=3), identity, make_block(block_type), identity, Flatten(), Linear(outputs=classes))
    )


def narrow_architecture(block_type: BlockType, classes: int, *, side: int) -> Architecture:
    """A small initial model for square images of so many pixels, which widths can be added to (docs/adr/0020).

    A convolution, then blocks with a pool before each until the map has fewer than 12 rows, then an average of each
    channel; batch normalisation everywhere. Some 4,000 parameters where 28 pixels and 10 classes are.
    """
    features: list[Layer] = [Conv(filters=8, kernel=3, same=True, bn=True)]
    unit = 2
    while side >= _LEAST_POOLED or unit == 2:
        if side >= _LEAST_POOLED:
            step = 4 if side >= _LEAST_POOLED * 4 and unit == 2 else 2
            features.append(Pool(step=step, size=step))
            side //= step
        features.append(make_block(block_type, tuple(unit * share for share in (2, 2, 4, 1, 2, 2)), bn=True))
        unit = 4
    return Architecture((*features, GlobalAverage(), Linear(outputs=classes)))
