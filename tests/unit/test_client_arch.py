# SPDX-License-Identifier: Apache-2.0
"""``arch``: the pure core at the command line."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from client.__main__ import run
from nas.api.v1 import search_pb2
from nas.canonical import graph_hash
from nas.notation import parse_notation

INITIAL = "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)"
SE_INITIAL = "C(64,3) P(1,1) SEIB(32,64,128,16,32,32) P(1,1) F() FC(10)"


def test_show_prints_layers_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    """The initial model of the paper has 1,610,938 parameters; the last line says so without separators."""
    status = run(["arch", "show", INITIAL, "--input", "1x28x28"])

    lines = capsys.readouterr().out.splitlines()
    assert (0, 8) == (status, len(lines))
    assert ["3", "IB(32,64,128,16,32,32)", "224x26x26", "96048", "129445888"] == lines[3].split()
    assert "total: 1610938 parameters, 133253120 FLOPs an image" == lines[-1]
    assert max(len(line) for line in lines) <= 80


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON it is the API's message: 64-bit integers are strings."""
    status = run(["arch", "show", INITIAL, "--input", "1x28x28", "--classes", "10", "--output", "json"])

    out = capsys.readouterr().out
    architecture = json_format.Parse(out, search_pb2.Architecture())
    assert (0, "1610938") == (status, json.loads(out)["param_count"])
    assert INITIAL == architecture.notation
    assert graph_hash(parse_notation(INITIAL)) == architecture.graph_hash
    assert architecture.param_count == sum(layer.param_count for layer in architecture.layers)
    assert architecture.flops == sum(layer.flops for layer in architecture.layers)
    assert INITIAL.split() == [layer.notation for layer in architecture.layers]


def test_show_adds_the_head(capsys: pytest.CaptureFixture[str]) -> None:
    """A net without a head gets ``F() FC(N)`` from ``--classes``."""
    status = run(["arch", "show", INITIAL.removesuffix(" F() FC(10)"), "--input", "1x28x28", "--classes", "10"])

    assert 0 == status
    assert "1610938 parameters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["C(64,3"], "character 7"),
        (["C(64,3)"], "a net ends with F() FC(n) or GAP() FC(n)"),
        ([INITIAL, "--classes", "3"], "FC(10), but --classes is 3"),
        (["C(64,3)", "--classes", "0"], "character 16"),
        (["C(64,29) F() FC(10)"], "layer 1: a 29x29 window does not fit the 28x28 map"),
    ],
)
def test_show_refuses(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    """What is no net, or does not fit, gives 2 and one sentence with the place."""
    status = run(["arch", "show", *arguments, "--input", "1x28x28"])

    out, err = capsys.readouterr()
    assert (2, "") == (status, out)
    assert sentence in err
    assert 1 == err.count("\n")


@pytest.mark.parametrize("shape", ["28x28", "1x28x28x1", "0x28x28", "1x28x99999", "1,28,28", "-1x28x28"])
def test_input_shape(capsys: pytest.CaptureFixture[str], shape: str) -> None:
    """An input is three numbers from 1 on."""
    status = run(["arch", "show", INITIAL, "--input", shape])

    assert 2 == status
    assert "is no shape" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--op", "add_layer", "--position", "4"], f"{INITIAL[:-11]} C(64,3) P(1,1) F() FC(10)"),
        (
            ["--op", "add_layer", "--position", "4", "--kernel", "1"],
            f"{INITIAL[:-11]} C(64,1) P(1,1) F() FC(10)",
        ),
        (
            ["--op", "add_block", "--position", "3"],
            "C(64,3) P(1,1) IB(32,64,128,16,32,32) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        ),
        (
            ["--op", "add_block", "--position", "1", "--block", "seib"],
            "C(64,3) SEIB(32,64,128,16,32,32) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        ),
        (
            ["--op", "add_block", "--position", "1", "--block", "eca"],
            "C(64,3) ECAIB(32,64,128,16,32,32) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        ),
        (
            ["--op", "add_block", "--position", "1", "--block", "attn"],
            "C(64,3) ATTNIB(32,64,128,16,32,32) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)",
        ),
        (["--op", "widen", "--position", "3"], "C(64,3) P(1,1) IB(64,64,160,16,64,64) P(1,1) F() FC(10)"),
        (["--op", "widen", "--position", "1", "--by", "8"], INITIAL.replace("C(64,3)", "C(72,3)")),
        (["--op", "concat", "--position", "4"], f"{INITIAL[:-11]} Concat() F() FC(10)"),
        (["--op", "narrow", "--position", "1"], INITIAL.replace("C(64,3)", "C(32,3)")),
        (["--op", "narrow", "--position", "1", "--by", "60"], INITIAL.replace("C(64,3)", "C(4,3)")),
        (["--op", "remove_layer", "--position", "1"], INITIAL.replace("C(64,3) P(1,1) ", "")),
        (["--op", "add_pool", "--position", "1"], INITIAL.replace("C(64,3)", "C(64,3) P(2,2)")),
    ],
)
def test_transform(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    """Each transformation prints the notation of its result, with the paper's arguments as defaults."""
    status = run(["arch", "transform", INITIAL, *arguments])

    assert (0, f"{expected}\n") == (status, capsys.readouterr().out)


def test_transform_takes_the_block_of_the_net(capsys: pytest.CaptureFixture[str]) -> None:
    """In an SE-Inception net, add_block adds one of these."""
    run(["arch", "transform", SE_INITIAL, "--op", "add_block", "--position", "4"])

    assert 2 == capsys.readouterr().out.count("SEIB(")


def test_transform_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an input there are no figures, with one there are."""
    arguments = ["--output", "json", "arch", "transform", INITIAL, "--op", "concat", "--position", "2"]

    run(arguments)
    bare = json.loads(capsys.readouterr().out)
    run([*arguments, "--input", "1x28x28"])
    full = json.loads(capsys.readouterr().out)

    assert {"notation", "graph_hash"} == bare.keys()
    assert bare["notation"] == full["notation"]
    assert int(full["param_count"]) > 1_610_938


@pytest.mark.parametrize(
    "arguments",
    [
        ["--op", "concat", "--position", "1"],
        ["--op", "widen", "--position", "2"],
        ["--op", "widen", "--position", "99"],
        ["--op", "widen", "--position", "1", "--by", "0"],
        ["--op", "add_layer", "--position", "1", "--kernel", "5"],
        ["--op", "add_layer", "--position", "1", "--input", "1x3x3"],
        ["--op", "add_layer", "--position", "1", "--by", "8"],
        ["--op", "concat", "--position", "2", "--kernel", "3"],
        ["--op", "widen", "--position", "1", "--block", "ib"],
        ["--op", "deepen", "--position", "1"],
        ["--op", "narrow", "--position", "1", "--by", "61"],
        ["--op", "narrow", "--position", "1", "--by", "-8"],
        ["--op", "remove_layer", "--position", "2"],
        ["--op", "remove_layer", "--position", "1", "--by", "8"],
        ["--op", "add_pool", "--position", "1", "--input", "1x3x3"],
    ],
)
def test_transform_refuses(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Arguments that lead to no net, or mean nothing to the transformation, give 2 and one sentence."""
    status = run(["arch", "transform", INITIAL, *arguments])

    out, err = capsys.readouterr()
    assert (2, "") == (status, out)
    assert err.startswith("Error: ")
    assert 1 == err.count("\n")


def test_transform_asks_for_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    """A net without a block does not tell which one to add."""
    status = run(["arch", "transform", "C(64,3) F() FC(10)", "--op", "add_block", "--position", "1"])

    assert 2 == status
    assert "--block ib or --block seib or --block eca or --block attn" in capsys.readouterr().err
