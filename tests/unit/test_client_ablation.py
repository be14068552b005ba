# SPDX-License-Identifier: Apache-2.0
"""Which nets an ablation trains: each block with attention beside the plain block of the same widths."""

from __future__ import annotations

import pytest

from client.ablation import Row, ablation_document, ablation_table, variant_retraining, variants
from nas.api.v1 import search_pb2

WIDTHS = "1,2,3,4,5,6"
BLOCKS = {
    "IB": search_pb2.BLOCK_TYPE_INCEPTION,
    "SEIB": search_pb2.BLOCK_TYPE_SE_INCEPTION,
    "ECAIB": search_pb2.BLOCK_TYPE_ECA_INCEPTION,
    "ATTNIB": search_pb2.BLOCK_TYPE_ATTENTION_INCEPTION,
}


def _child(features: str) -> search_pb2.Child:
    architecture = search_pb2.Architecture(notation=f"{features} F() FC(3)")
    return search_pb2.Child(child_id="1-1", architecture=architecture)


def _search(block: str, winner: str) -> search_pb2.Search:
    config = search_pb2.SearchConfig(dataset="mnist", block=BLOCKS[block])
    return search_pb2.Search(search_id="3f2a9c01b7de", config=config, incumbent=_child(winner))


def _notations(block: str, winner: str) -> list[str]:
    search = _search(block, winner)
    return [variant.notation.removesuffix(" F() FC(3)") for variant in variants(search, {"winner": search.incumbent})]


@pytest.mark.parametrize(
    ("block", "winner", "attentive"),
    [
        ("SEIB", f"SEIB({WIDTHS},bn,ratio=4)", f"SEIB({WIDTHS},bn,ratio=4)"),
        ("IB", f"IB({WIDTHS},bn)", f"SEIB({WIDTHS},bn)"),
        ("ECAIB", f"ECAIB({WIDTHS},bn)", f"ECAIB({WIDTHS},bn)"),
        ("ECAIB", f"IB({WIDTHS},bn)", f"ECAIB({WIDTHS},bn)"),
        ("IB", f"ECAIB({WIDTHS},bn)", f"ECAIB({WIDTHS},bn)"),
        ("ATTNIB", f"ATTNIB({WIDTHS},bn)", f"ATTNIB({WIDTHS},bn)"),
    ],
)
def test_a_block_with_attention_and_the_plain_one(block: str, winner: str, attentive: str) -> None:
    """The block is that of the net, else that of the search, else the paper's; widths and normalisation stay."""
    assert [attentive, f"IB({WIDTHS},bn)"] == _notations(block, winner)


def test_a_net_of_several_blocks() -> None:
    """A plain block among those with attention gets it, and another kind of attention stays."""
    first, second = f"ECAIB({WIDTHS})", f"SEIB({WIDTHS})"

    assert [f"{first} {second} {first}", " ".join([f"IB({WIDTHS})"] * 3)] == _notations(
        "ECAIB", f"{first} {second} IB({WIDTHS})"
    )


def test_a_net_without_a_block_is_trained_once() -> None:
    """There is nothing to compare it with."""
    assert ["C(8,3)"] == _notations("SEIB", "C(8,3)")


@pytest.mark.parametrize(
    ("block", "option", "heading", "attention"),
    [
        ("SEIB", "seib", "SE", "squeeze and excitation"),
        ("ECAIB", "eca", "ECA", "efficient channel attention"),
        ("ATTNIB", "attn", "ATTN", "self-attention"),
    ],
)
def test_what_is_trained_and_shown(block: str, option: str, heading: str, attention: str) -> None:
    """The retraining is a search around the block of its row, and the table names what is compared."""
    search = _search(block, f"{block}({WIDTHS})")
    both = list(variants(search, {"winner": search.incumbent}))

    retrainings = [variant_retraining(search, variant) for variant in both]
    rows = [Row(variant=variant, search=search) for variant in both]

    assert [BLOCKS[block], BLOCKS["IB"]] == [retraining.config.block for retraining in retrainings]
    assert [f"winner 1-1 with {attention}", f"winner 1-1 without {attention}"] == [each.what for each in retrainings]
    lines = [line.split()[:3] for line in ablation_table(rows).splitlines()]
    assert [["NET", "CHILD", heading], ["winner", "1-1", "yes"], ["winner", "1-1", "no"]] == lines
    document = ablation_document(search, rows)["variants"]
    assert isinstance(document, list)
    assert [(option, option == "seib"), ("ib", False)] == [(row["block"], row["has_se"]) for row in document]
