# SPDX-License-Identifier: Apache-2.0
"""The paper's Table VI: the nets that a search found, each with and without squeeze and excitation.

Every variant is a retraining on the division of the search that found the net.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from client.assessment import estimate_text
from client.retraining import Retraining, make_request_id, retraining_config, tested_net, tested_plain
from client.text import table
from nas.api.v1 import search_pb2
from nas.architecture import Architecture
from nas.blocks import Inception, SEInception
from nas.layers import number_names
from nas.notation import format_notation, parse_notation


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        role: ``winner`` or ``smallest``.
        child_id: the child of the search that the variant comes from.
        has_se: whether its blocks squeeze and excite.
        notation: of the net that is trained.
    """

    role: str
    child_id: str
    has_se: bool
    notation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant and the search that trained it."""

    variant: Variant
    search: search_pb2.Search


def swap_blocks(notation: str, *, has_se: bool) -> str:
    """Give every block squeeze and excitation, or take it from every one; widths and normalisation stay."""
    block = SEInception if has_se else Inception
    layers = tuple(
        layer
        if type(layer) is block
        else block(**{name: getattr(layer, name) for name in number_names(block)}, bn=layer.bn)
        if isinstance(layer, Inception | SEInception)
        else layer
        for layer in parse_notation(notation).layers
    )
    return format_notation(Architecture(layers))


def variants(children: dict[str, search_pb2.Child]) -> Iterator[Variant]:
    """With and without squeeze and excitation, for each child by its role; a net without a block has one variant."""
    for role, child in children.items():
        found = {swap_blocks(child.architecture.notation, has_se=has_se): has_se for has_se in (True, False)}
        for notation, has_se in found.items():
            yield Variant(role=role, child_id=child.child_id, has_se=has_se, notation=notation)


def variant_retraining(search: search_pb2.Search, variant: Variant) -> Retraining:
    """Make the retraining of a variant."""
    config = retraining_config(search, variant.notation)
    config.block = search_pb2.BLOCK_TYPE_SE_INCEPTION if variant.has_se else search_pb2.BLOCK_TYPE_INCEPTION
    squeezed = "with" if variant.has_se else "without"
    return Retraining(
        what=f"{variant.role} {variant.child_id} {squeezed} squeeze and excitation",
        config=config,
        request_id=make_request_id(search.search_id, variant.child_id, variant.notation),
    )


def ablation_table(rows: list[Row]) -> str:
    """Print one line per variant."""
    headings = ("NET", "CHILD", "SE", "PARAMETERS", "ACCURACY", "BALANCED ACCURACY", "SEARCH", "NOTATION")
    return table(headings, [_cells(row) for row in rows], right=frozenset({"PARAMETERS"}))


def _cells(row: Row) -> tuple[str, ...]:
    variant, search = row.variant, row.search
    figures, tested = ("-", "-"), tested_net(search)
    if tested.HasField("assessment"):
        found = tested.assessment
        figures = (estimate_text(found.accuracy), estimate_text(found.balanced_accuracy))
    parameters = str(search.incumbent.architecture.param_count) if search.HasField("incumbent") else "-"
    has_se = "yes" if variant.has_se else "no"
    return (variant.role, variant.child_id, has_se, parameters, *figures, search.search_id, variant.notation)


def ablation_document(search: search_pb2.Search, rows: list[Row]) -> dict[str, object]:
    """Everything for programs; counts of 64 bits are strings, as in every message."""
    return {"search_id": search.search_id, "dataset": search.config.dataset, "variants": [_plain(row) for row in rows]}


def _plain(row: Row) -> dict[str, object]:
    variant, search = row.variant, row.search
    return {
        "role": variant.role,
        "child_id": variant.child_id,
        "has_se": variant.has_se,
        "notation": variant.notation,
        "param_count": str(search.incumbent.architecture.param_count),
        "search_id": search.search_id,
        "test": tested_plain(search),
    }
