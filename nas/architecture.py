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
