# SPDX-License-Identifier: Apache-2.0
"""The paper's Table VI: the nets that a search found, each with and without squeeze and excitation.

In a search around another block with attention, it is that block that is compared with the plain one. Every variant is
a retraining on the division of the search that found the net.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from client.assessment import estimate_text
from client.phrases import BLOCKS as WIRE_BLOCKS
from client.retraining import Retraining, make_request_id, retraining_config, tested_net, tested_plain
from client.text import table
from nas.api.v1 import search_pb2
from nas.architecture import Architecture
from nas.blocks import BLOCKS, BlockType, Inception, InceptionLayer
from nas.layers import Layer, number_names
from nas.notation import format_notation, parse_notation


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        role: ``winner`` or ``smallest``.
        child_id: the child of the search that the variant comes from.
        attention: the block that is compared with plain Inception.
        is_plain: whether the blocks of this variant are plain Inception.
        notation: of the net that is trained.
    """

    role: str
    child_id: str
    attention: BlockType
    is_plain: bool
    notation: str

    @property
    def block(self) -> BlockType:
        """The block of this variant."""
        return BlockType.INCEPTION if self.is_plain else self.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant and the search that trained it."""

    variant: Variant
    search: search_pb2.Search


def compared_block(search: search_pb2.Search) -> BlockType:
    """Say which block to compare with plain Inception: the first with attention in the winner's net, then the search's.

    The paper's squeeze and excitation if there is neither.
    """
    winner = parse_notation(search.incumbent.architecture.notation).layers
    in_net = [block for layer in winner for block, kind in BLOCKS.items() if type(layer) is kind]
    of_search = [block for block in BlockType if WIRE_BLOCKS[block.value] == search.config.block]
    return next((block for block in (*in_net, *of_search) if BLOCKS[block].attention), BlockType.SE_INCEPTION)


def swap_blocks(notation: str, block: BlockType) -> str:
    """Give every plain block attention, or with ``ib`` take it from every one; widths and normalisation stay."""
    layers = parse_notation(notation).layers
    return format_notation(Architecture(tuple(_swap(layer, BLOCKS[block]) for layer in layers)))


def _swap(layer: Layer, kind: type[InceptionLayer]) -> Layer:
    if not isinstance(layer, InceptionLayer) or (kind.attention and layer.attention):
        return layer
    return kind(**{name: getattr(layer, name) for name in number_names(kind)}, bn=layer.bn)


def variants(search: search_pb2.Search, children: dict[str, search_pb2.Child]) -> Iterator[Variant]:
    """With and without attention, for each child by its role; a net without a block has one variant."""
    attention = compared_block(search)
    for role, child in children.items():
        found = {swap_blocks(child.architecture.notation, block): block for block in (attention, BlockType.INCEPTION)}
        for notation, block in found.items():
            is_plain = block is BlockType.INCEPTION
            yield Variant(role=role, child_id=child.child_id, attention=attention, is_plain=is_plain, notation=notation)


def variant_retraining(search: search_pb2.Search, variant: Variant) -> Retraining:
    """Make the retraining of a variant."""
    config = retraining_config(search, variant.notation)
    config.block = WIRE_BLOCKS[variant.block.value]
    has = "without" if variant.is_plain else "with"
    return Retraining(
        what=f"{variant.role} {variant.child_id} {has} {BLOCKS[variant.attention].attention}",
        config=config,
        request_id=make_request_id(search.search_id, variant.child_id, variant.notation),
    )


def ablation_table(rows: list[Row]) -> str:
    """Print one line per variant."""
    kind = BLOCKS[rows[0].variant.attention].name.removesuffix(Inception.name)
    headings = ("NET", "CHILD", kind, "PARAMETERS", "ACCURACY", "BALANCED ACCURACY", "SEARCH", "NOTATION")
    return table(headings, [_cells(row) for row in rows], right=frozenset({"PARAMETERS"}))


def _cells(row: Row) -> tuple[str, ...]:
    variant, search = row.variant, row.search
    figures, tested = ("-", "-"), tested_net(search)
    if tested.HasField("assessment"):
        found = tested.assessment
        figures = (estimate_text(found.accuracy), estimate_text(found.balanced_accuracy))
    parameters = str(search.incumbent.architecture.param_count) if search.HasField("incumbent") else "-"
    has_attention = "no" if variant.is_plain else "yes"
    return (variant.role, variant.child_id, has_attention, parameters, *figures, search.search_id, variant.notation)


def ablation_document(search: search_pb2.Search, rows: list[Row]) -> dict[str, object]:
    """Everything for programs; counts of 64 bits are strings, as in every message."""
    return {"search_id": search.search_id, "dataset": search.config.dataset, "variants": [_plain(row) for row in rows]}


def _plain(row: Row) -> dict[str, object]:
    variant, search = row.variant, row.search
    return {
        "role": variant.role,
        "child_id": variant.child_id,
        "has_se": variant.block is BlockType.SE_INCEPTION,
        "block": variant.block.value,
        "notation": variant.notation,
        "param_count": str(search.incumbent.architecture.param_count),
        "search_id": search.search_id,
        "test": tested_plain(search),
    }
