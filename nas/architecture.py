# SPDX-License-Identifier: Apache-2.0
"""The immutable value at the centre of everything: a CNN as a sequence of layers (paper section IV.C).

Layers are numbered from 1, as the paper's ``Widen(M, 3, 32)`` does; the input is no layer. ``Concat()`` joins the
outputs of the two layers before it, the nearer one's channels first, so the sequence alone says which edges there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BlockType(Enum):
    """The block that a search is built around (paper section III.A)."""

    INCEPTION = "ib"
    SE_INCEPTION = "seib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """``C(a,b)``: a valid b x b convolution with a filters, stride 1, bias, then ReLU."""

    filters: int
    kernel: int

    def __post_init__(self) -> None:
        _require_positive(self, "filters", "kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """``P(a,b)``: max pooling with step a and a b x b window, so ``P(1,1)`` is the identity."""

    step: int
    size: int

    def __post_init__(self) -> None:
        _require_positive(self, "step", "size")

    @property
    def is_identity(self) -> bool:
        """Whether the layer hands its input on unchanged."""
        return self.step == 1 and self.size == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inception:
    """``IB(a,b,c,d,e,f)``: the Inception block with dimension reduction, widths in GoogLeNet's order."""

    ch1x1: int
    ch3x3red: int
    ch3x3: int
    ch5x5red: int
    ch5x5: int
    pool_proj: int

    def __post_init__(self) -> None:
        _require_positive(self, "ch1x1", "ch3x3red", "ch3x3", "ch5x5red", "ch5x5", "pool_proj")

    @property
    def widths(self) -> tuple[int, int, int, int, int, int]:
        """The six widths in the order of the notation."""
        return (self.ch1x1, self.ch3x3red, self.ch3x3, self.ch5x5red, self.ch5x5, self.pool_proj)

    @property
    def out_channels(self) -> int:
        """Channels of the joined output: the four branches side by side."""
        return self.ch1x1 + self.ch3x3 + self.ch5x5 + self.pool_proj


@dataclass(frozen=True, slots=True, kw_only=True)
class SEInception(Inception):
    """``SEIB(...)``: the Inception block followed by squeeze and excitation over its output channels."""

    @property
    def squeezed_channels(self) -> int:
        """Width of the first of the two fully connected layers: C/16, at least 1 (Hu et al. 2018, ratio 16)."""
        return max(1, self.out_channels // 16)


@dataclass(frozen=True, slots=True)
class Concat:
    """``Concat()``: the channels of the layer before it, then those of the layer before that one."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """``F()``: C x H x W to one vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """``FC(a)``: the fully connected head with one output a class."""

    outputs: int

    def __post_init__(self) -> None:
        _require_positive(self, "outputs")


Layer = Conv | Pool | Inception | SEInception | Concat | Flatten | Linear


@dataclass(frozen=True, slots=True)
class Architecture:
    """A CNN: any number of feature layers, then ``F()``, then ``FC(n)``.

    Raises:
        ArchitectureError: the head is not ``F() FC(n)``, stands elsewhere too, or a ``Concat()`` has fewer than two
            layers before it.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or not isinstance(self.layers[-2], Flatten) or not isinstance(self.layers[-1], Linear):
            raise ArchitectureError(len(self.layers), "a net ends with F() FC(n)")
        for position, layer in enumerate(self.layers[:-2], start=1):
            if isinstance(layer, Flatten | Linear):
                raise ArchitectureError(position, "F() and FC(n) stand only at the end")
            if isinstance(layer, Concat) and position < 3:
                raise ArchitectureError(position, "Concat() needs two layers before it")

    @property
    def features(self) -> tuple[Layer, ...]:
        """The layers before ``F()``."""
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


PAPER_WIDTHS = (32, 64, 128, 16, 32, 32)
"""Widths of every block the paper inserts (section IV.C)."""


def make_block(block_type: BlockType, widths: tuple[int, ...] = PAPER_WIDTHS) -> Inception:
    """Build the block of a search; the six widths default to the paper's."""
    names = ("ch1x1", "ch3x3red", "ch3x3", "ch5x5red", "ch5x5", "pool_proj")
    kind = SEInception if block_type is BlockType.SE_INCEPTION else Inception
    return kind(**dict(zip(names, widths, strict=True)))


def initial_architecture(block_type: BlockType, classes: int) -> Architecture:
    """The initial model M of the paper (section III.D and IV.D): one convolution, one block, a head."""
    identity = Pool(step=1, size=1)
    return Architecture(
        (Conv(filters=64, kernel=3), identity, make_block(block_type), identity, Flatten(), Linear(outputs=classes))
    )


def _require_positive(layer: object, *names: str) -> None:
    for name in names:
        value = getattr(layer, name)
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
