# SPDX-License-Identifier: Apache-2.0
"""The paper's Table VI: the nets that a search found, each with and without squeeze and excitation.

Every variant is a search of its own that derives nothing: it trains one net under the settings, the seed, the threads
and the division of the search that found it, and reads the test part once. Its request id follows from the search, so
asking again finds it and trains nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from client.assessment import estimate_text
from client.text import table
from nas.api.v1 import search_pb2
from nas.architecture import Architecture, Inception, SEInception
from nas.notation import format_notation, parse_notation

_REQUESTS = uuid.UUID("5e1b0a51-7ab1-4e06-8ab1-a7e000000006")
"""Namespace of the request ids; another one would train every variant again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        role: ``winner`` or ``smallest``.
        child_id: the child of the search that the variant comes from.
        has_se: whether its blocks squeeze and excite.
        notation: of the net that is trained.
        request_id: of the search that trains it.
    """

    role: str
    child_id: str
    has_se: bool
    notation: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant and the search that trained it."""

    variant: Variant
    search: search_pb2.Search


def swap_blocks(notation: str, *, has_se: bool) -> str:
    """Give every block squeeze and excitation, or take it from every one; the widths stay."""
    block = SEInception if has_se else Inception
    layers = tuple(
        block(**{name: getattr(layer, name) for name in Inception.__slots__}) if isinstance(layer, Inception) else layer
        for layer in parse_notation(notation).layers
    )
    return format_notation(Architecture(layers))


def variants(search_id: str, children: dict[str, search_pb2.Child]) -> Iterator[Variant]:
    """With and without squeeze and excitation, for each child by its role; a net without a block has one variant."""
    for role, child in children.items():
        found = {swap_blocks(child.architecture.notation, has_se=has_se): has_se for has_se in (True, False)}
        for notation, has_se in found.items():
            request_id = uuid.uuid5(_REQUESTS, f"{search_id}/{child.child_id}/{notation}")
            yield Variant(
                role=role, child_id=child.child_id, has_se=has_se, notation=notation, request_id=str(request_id)
            )


def variant_config(search: search_pb2.Search, variant: Variant) -> search_pb2.SearchConfig:
    """Make the settings of a variant: those of the search, for this net and nothing derived from it."""
    config = search_pb2.SearchConfig()
    config.CopyFrom(search.config)
    config.block = search_pb2.BLOCK_TYPE_SE_INCEPTION if variant.has_se else search_pb2.BLOCK_TYPE_INCEPTION
    config.initial = variant.notation
    config.max_iterations = 0
    config.threads = search.resources.threads
    return config


def ablation_table(rows: list[Row]) -> str:
    """Print a line a variant."""
    headings = ("NET", "CHILD", "SE", "PARAMETERS", "ACCURACY", "BALANCED ACCURACY", "SEARCH", "NOTATION")
    return table(headings, [_cells(row) for row in rows], right=frozenset({"PARAMETERS"}))


def _cells(row: Row) -> tuple[str, ...]:
    variant, search = row.variant, row.search
    figures = ("-", "-")
    if search.assessed and search.assessed[0].HasField("assessment"):
        found = search.assessed[0].assessment
        figures = (estimate_text(found.accuracy), estimate_text(found.balanced_accuracy))
    parameters = str(search.incumbent.architecture.param_count) if search.HasField("incumbent") else "-"
    has_se = "yes" if variant.has_se else "no"
    return (variant.role, variant.child_id, has_se, parameters, *figures, search.search_id, variant.notation)


def ablation_document(search: search_pb2.Search, rows: list[Row]) -> dict[str, object]:
    """Everything for programs; counts of 64 bits are strings, as in every message."""
    return {"search_id": search.search_id, "dataset": search.config.dataset, "variants": [_plain(row) for row in rows]}


def _plain(row: Row) -> dict[str, object]:
    from google.protobuf.json_format import MessageToDict

    variant, search = row.variant, row.search
    tested = search.assessed[0] if search.assessed else search_pb2.AssessedChild()
    return {
        "role": variant.role,
        "child_id": variant.child_id,
        "has_se": variant.has_se,
        "notation": variant.notation,
        "param_count": str(search.incumbent.architecture.param_count),
        "search_id": search.search_id,
        "test": MessageToDict(tested, preserving_proto_field_name=True, always_print_fields_with_no_presence=True),
    }
