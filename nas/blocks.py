# SPDX-License-Identifier: Apache-2.0
"""The blocks that a search is built around (paper section III.A): each is a kind of layer of its own.

Sources: Szegedy et al. 2015, Fig. 2(b) for the Inception block and its order of widths; Hu et al. 2018, Fig. 2 for
squeeze and excitation; Wang et al. 2020, Fig. 2 for efficient channel attention; Zhang et al. 2019, Fig. 2 for
self-attention with an eighth of the channels and a scale that starts at 0. Inside a block convolutions are 'same':
height and width stay.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, Self

from nas.layers import POOL_VALUES, Layer, Product, Shape, number_names

PAPER_WIDTHS = (32, 64, 128, 16, 32, 32)
"""Widths of every block that the paper inserts (section IV.C)."""

DEFAULT_RATIO = 16
"""Of squeeze and excitation (Hu et al. 2018); a block of fewer channels is squeezed to one."""

SEEN_SIDE = 7
"""Most rows and columns that a position of self-attention sees."""


class BlockType(Enum):
    """The block that a search is built around; the value is its name on a command line."""

    INCEPTION = "ib"
    SE_INCEPTION = "seib"
    ECA_INCEPTION = "eca"
    ATTENTION_INCEPTION = "attn"


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionLayer(Layer):
    """Four branches side by side, six widths in GoogLeNet's order: what the blocks with this stem have in common.

    It is no block: products and stored values are for each block to say.

    Attributes:
        bn: normalise every convolution over the batch before its ReLU, with a scale and a shift in place of the bias.
    """

    attention: ClassVar[str] = ""
    """What follows the joined branches, in words; empty if nothing does."""

    ch1x1: int
    ch3x3red: int
    ch3x3: int
    ch5x5red: int
    ch5x5: int
    pool_proj: int
    bn: bool = False

    @property
    def output_widths(self) -> tuple[int, ...]:
        """Channels of each branch's output."""
        return (self.ch1x1, self.ch3x3, self.ch5x5, self.pool_proj)

    @property
    def out_channels(self) -> int:
        """Channels of the joined output of the four branches."""
        return sum(self.output_widths)

    def output_shape(self, *sources: Shape) -> Shape:
        """Replace the channels, keep height and width."""
        return (self.out_channels, *sources[0][1:])

    def widened(self, by: int) -> Self:
        """Add filters to each branch's output, as in the paper's Table I; its text's "first four layers" disagrees."""
        return replace(
            self,
            ch1x1=self.ch1x1 + by,
            ch3x3=self.ch3x3 + by,
            ch5x5=self.ch5x5 + by,
            pool_proj=self.pool_proj + by,
        )

    @abstractmethod
    def products(self, source: Shape) -> tuple[Product, ...]:
        """Return all convolutions and linear layers, ``branch_products`` among them."""

    def branch_products(self, source: Shape) -> tuple[Product, ...]:
        """Return the six convolutions of the branches."""
        channels, sites = source[0], math.prod(source[1:])
        return (
            Product(channels, self.ch1x1, sites, self.bn),
            Product(channels, self.ch3x3red, sites, self.bn),
            Product(self.ch3x3red * 9, self.ch3x3, sites, self.bn),
            Product(channels, self.ch5x5red, sites, self.bn),
            Product(self.ch5x5red * 25, self.ch5x5, sites, self.bn),
            Product(channels, self.pool_proj, sites, self.bn),
        )

    def kept_values(self, *sources: Shape) -> int:
        """Store what the products need, the pooled input and the joined map."""
        activated = sum(product.kept_values for product in self.products(sources[0]))
        return activated + POOL_VALUES * math.prod(sources[0]) + math.prod(self.output_shape(*sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inception(InceptionLayer):
    """``IB(a,b,c,d,e,f)``: the Inception block with dimension reduction."""

    name: ClassVar[str] = "IB"

    def products(self, source: Shape) -> tuple[Product, ...]:
        """The branches and nothing else."""
        return self.branch_products(source)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescaledInception(InceptionLayer):
    """The Inception block whose output channels are each weighed by what their averages call for: no block either."""

    def kept_values(self, *sources: Shape) -> int:
        """Store the rescaled map and the channels' averages, too."""
        # Spelled out, because a slotted dataclass is a new class that super() without arguments does not know.
        stem = InceptionLayer.kept_values(self, *sources)
        return stem + math.prod(self.output_shape(*sources)) + self.out_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class SEInception(RescaledInception):
    """``SEIB(...)``: the Inception block followed by squeeze and excitation over its output channels.

    Attributes:
        ratio: output channels per channel that is left after squeezing (Hu et al. 2018, reduction ratio).
    """

    name: ClassVar[str] = "SEIB"
    attention: ClassVar[str] = "squeeze and excitation"

    ratio: int = DEFAULT_RATIO

    def __post_init__(self) -> None:
        RescaledInception.__post_init__(self)
        if self.ratio != DEFAULT_RATIO and self.ratio > self.out_channels:
            raise ValueError(f"the ratio {self.ratio} is larger than the {self.out_channels} channels of the block")

    @property
    def squeezed_channels(self) -> int:
        """Width of the first of the two linear layers, at least 1."""
        return max(1, self.out_channels // self.ratio)

    def products(self, source: Shape) -> tuple[Product, ...]:
        """The branches and the two linear layers."""
        squeeze = Product(self.out_channels, self.squeezed_channels, 1)
        excite = Product(self.squeezed_channels, self.out_channels, 1)
        return (*self.branch_products(source), squeeze, excite)


@dataclass(frozen=True, slots=True, kw_only=True)
class ECAInception(RescaledInception):
    """``ECAIB(...)``: the Inception block followed by efficient channel attention over its output channels.

    Each channel is weighed by its own average and those of its neighbours, in the order of the notation.
    """

    name: ClassVar[str] = "ECAIB"
    attention: ClassVar[str] = "efficient channel attention"

    @property
    def channel_kernel(self) -> int:
        """How many neighbouring channels have a say: with t = floor((log2 C + 1) / 2), t or the odd number above it."""
        # bit_length() is floor(log2 C) + 1, without the rounding of a logarithm.
        return self.out_channels.bit_length() // 2 | 1

    def products(self, source: Shape) -> tuple[Product, ...]:
        """The branches, and one convolution along the channels that all of them share."""
        return (*self.branch_products(source), Product(self.channel_kernel, 1, self.out_channels, bias=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionInception(InceptionLayer):
    """``ATTNIB(...)``: the Inception block, to which self-attention between the positions of its output is added.

    One head. Positions look at an average-pooled copy of the map, so that their number times ``SEEN_SIDE`` squared, and
    not their number squared, is what it costs. The scale of what is added starts at 0: first the block is Inception.
    """

    name: ClassVar[str] = "ATTNIB"
    attention: ClassVar[str] = "self-attention"

    @property
    def head_channels(self) -> int:
        """Channels of queries, keys and values, at least 4."""
        return max(4, self.out_channels // 8)

    def products(self, source: Shape) -> tuple[Product, ...]:
        """The branches, the four projections, the two products of maps between them, and the scale."""
        channels, head = self.out_channels, self.head_channels
        sites, seen = math.prod(source[1:]), _seen_sites(source)
        query, output = Product(channels, head, sites), Product(head, channels, sites)
        key = value = Product(channels, head, seen)
        scores, mixture = Product(head, seen, sites, learned=False), Product(seen, head, sites, learned=False)
        scale = Product(0, 1, 1)
        return (*self.branch_products(source), query, key, value, scores, mixture, output, scale)

    def kept_values(self, *sources: Shape) -> int:
        """Store the pooled map and the sum, too."""
        stem = InceptionLayer.kept_values(self, *sources)
        return stem + self.out_channels * _seen_sites(sources[0]) + math.prod(self.output_shape(*sources))


def seen_window(height: int, width: int) -> tuple[int, int]:
    """Return the sides of the windows whose averages attention sees: the smallest that leave at most 7 x 7 of them."""
    return -(-height // SEEN_SIDE), -(-width // SEEN_SIDE)


def _seen_sites(source: Shape) -> int:
    """Return how many windows there are; those at the lower and right edge may be cut."""
    _, height, width = source
    rows, columns = seen_window(height, width)
    return -(-height // rows) * -(-width // columns)


BLOCKS: Mapping[BlockType, type[InceptionLayer]] = {
    BlockType.INCEPTION: Inception,
    BlockType.SE_INCEPTION: SEInception,
    BlockType.ECA_INCEPTION: ECAInception,
    BlockType.ATTENTION_INCEPTION: AttentionInception,
}
"""The kind of layer of each block."""


def make_block(block_type: BlockType, widths: tuple[int, ...] = PAPER_WIDTHS, **options: bool | int) -> Layer:
    """Build the block of a search; the widths default to the paper's, the options to those of the layer.

    Raises:
        ValueError: the block has another number of widths, or one is less than 1.
    """
    kind = BLOCKS[block_type]
    build: Callable[..., Layer] = kind
    return build(**dict(zip(number_names(kind), widths, strict=True)), **options)
