# SPDX-License-Identifier: Apache-2.0
"""The text form: what is read, what is printed, and one sentence with the position for everything else."""

from __future__ import annotations

import pytest

from nas.architecture import Architecture, initial_architecture
from nas.blocks import BlockType, make_block
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Linear, Pool
from nas.notation import MAX_CHARACTERS, MAX_LAYERS, MAX_NUMBER, NotationError, format_notation, parse_notation

HEADLESS = "a net ends with F() FC(n) or GAP() FC(n)"
INITIAL = "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)"


def test_every_layer_is_printed() -> None:
    """Each layer prints as in the paper, one space between layers and none inside."""
    layers = (
        Conv(filters=64, kernel=3),
        Pool(step=2, size=3),
        make_block(BlockType.INCEPTION, (1, 2, 3, 4, 5, 6)),
        make_block(BlockType.SE_INCEPTION),
        Concat(),
        Conv(filters=8, kernel=3, same=True),
        Conv(filters=8, kernel=3, bn=True),
        Conv(filters=8, kernel=3, same=True, bn=True),
        make_block(BlockType.INCEPTION, (1, 2, 3, 4, 5, 6), bn=True),
        make_block(BlockType.SE_INCEPTION, (1, 2, 3, 4, 5, 6), bn=True, ratio=8),
        make_block(BlockType.SE_INCEPTION, (1, 2, 3, 4, 5, 6), ratio=16),
        make_block(BlockType.ECA_INCEPTION),
        make_block(BlockType.ECA_INCEPTION, (1, 2, 3, 4, 5, 6), bn=True),
        make_block(BlockType.ATTENTION_INCEPTION),
        make_block(BlockType.ATTENTION_INCEPTION, (1, 2, 3, 4, 5, 6), bn=True),
        Flatten(),
        Linear(outputs=7),
    )

    text = format_notation(Architecture(layers))

    assert (
        "C(64,3) P(2,3) IB(1,2,3,4,5,6) SEIB(32,64,128,16,32,32) Concat() C(8,3,same) C(8,3,bn) C(8,3,same,bn) "
        "IB(1,2,3,4,5,6,bn) SEIB(1,2,3,4,5,6,bn,ratio=8) SEIB(1,2,3,4,5,6) "
        "ECAIB(32,64,128,16,32,32) ECAIB(1,2,3,4,5,6,bn) ATTNIB(32,64,128,16,32,32) "
        "ATTNIB(1,2,3,4,5,6,bn) F() FC(7)"
    ) == text


def test_global_average_head() -> None:
    """``GAP()`` stands in the place of ``F()``."""
    architecture = parse_notation("C(8,3) GAP() FC(3)")

    assert (Conv(filters=8, kernel=3), GlobalAverage(), Linear(outputs=3)) == architecture.layers
    assert "C(8,3) GAP() FC(3)" == format_notation(architecture)


def test_options_in_any_order() -> None:
    """Options are read in any order and printed in one."""
    text = format_notation(parse_notation("C( 8 , 3 , bn , same ) SEIB(1,2,3,4,5,6, ratio = 4 ,bn) GAP() FC(2)"))

    assert "C(8,3,same,bn) SEIB(1,2,3,4,5,6,bn,ratio=4) GAP() FC(2)" == text


@pytest.mark.parametrize(
    "text",
    [
        INITIAL,
        INITIAL.replace(" ", "\n"),
        INITIAL.replace(" ", ";"),
        f"  {INITIAL} ;\r\n",
        INITIAL.replace(",", " , ").replace("(", " ( ").replace(")", " )"),
        INITIAL.replace("C(64", "C(0064"),
    ],
)
def test_blanks_and_semicolons(text: str) -> None:
    """Layers are separated by blanks or ';', and blanks may stand around brackets and numbers."""
    assert initial_architecture(BlockType.INCEPTION, 10) == parse_notation(text)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, HEADLESS),
        (" ; ", 1, HEADLESS),
        ("C(64,3)", 1, HEADLESS),
        ("C(64,3) F()", 9, HEADLESS),
        ("FC(10) F()", 8, HEADLESS),
        ("C(64,3) F() F() FC(10)", 9, "F(), GAP() and FC(n) stand only at the end"),
        ("FC(3) C(64,3) F() FC(10)", 1, "F(), GAP() and FC(n) stand only at the end"),
        ("GAP() C(64,3) F() FC(10)", 1, "F(), GAP() and FC(n) stand only at the end"),
        ("C(64,3) GAP() F() FC(10)", 9, "F(), GAP() and FC(n) stand only at the end"),
        ("C(64,3) Concat() F() FC(10)", 9, "Concat() needs two layers before it"),
        ("X(1) F() FC(10)", 1, "expected a layer, one of C, P, IB, SEIB, ECAIB, ATTNIB, Concat, F, GAP, FC, not 'X'"),
        (
            "c(64,3) F() FC(10)",
            1,
            "expected a layer, one of C, P, IB, SEIB, ECAIB, ATTNIB, Concat, F, GAP, FC, not 'c'",
        ),
        (
            "C(64,3) concat() F()",
            9,
            "expected a layer, one of C, P, IB, SEIB, ECAIB, ATTNIB, Concat, F, GAP, FC, not 'concat'",
        ),
        ("C(64,3), F() FC(10)", 8, "expected a blank or ';' between layers, not ','"),
        ("C(64,3)P(1,1) F() FC(10)", 8, "expected a blank or ';' between layers, not 'P'"),
        ("C(64,3) -> F()", 9, "expected a layer, one of C, P, IB, SEIB, ECAIB, ATTNIB, Concat, F, GAP, FC, not '-'"),
        ("C(64,3)\xa0F() FC(10)", 8, "expected a blank or ';' between layers, not '\\xa0'"),
        ("C 64,3) F()", 3, "expected '(' after C, not '64'"),
        ("C", 2, "expected '(' after C, not the end"),
        ("C[64,3] F()", 2, "expected '(' after C, not '['"),
        ("C()", 3, "expected a whole number for the filters of C, not ')'"),
        ("C(64)", 5, "expected ',' and the kernel of C, not ')'"),
        ("C(64 3)", 6, "expected ',' and the kernel of C, not '3'"),
        ("C(64,)", 6, "expected a whole number for the kernel of C, not ')'"),
        ("C(64,3,1)", 8, "expected an option of C, one of same, bn, not '1'"),
        ("C(64,3,)", 8, "expected an option of C, one of same, bn, not ')'"),
        ("C(64,3,BN)", 8, "expected an option of C, one of same, bn, not 'BN'"),
        ("C(64,3,bn,bn)", 11, "the option bn of C is given twice"),
        ("C(64,3,bn=1)", 10, "expected ')' to close C, not '='"),
        ("C(64,4,same)", 1, "C: a 'same' convolution needs an odd kernel, not 4"),
        ("P(1,1) C(64,4,same) F() FC(1)", 8, "C: a 'same' convolution needs an odd kernel, not 4"),
        ("P(2,2,bn)", 6, "expected ')' to close P, not ','"),
        ("SEIB(1,1,1,1,1,1,ratio)", 23, "expected '=' and the ratio of SEIB, not ')'"),
        ("SEIB(1,1,1,1,1,1,ratio=0)", 24, f"the ratio of SEIB must lie between 1 and {MAX_NUMBER}, not 0"),
        ("SEIB(1,1,1,1,1,1,ratio=5)", 1, "SEIB: the ratio 5 is larger than the 4 channels of the block"),
        ("IB(1,1,1,1,1,1,ratio=5)", 16, "expected an option of IB, one of bn, not 'ratio'"),
        ("ATTNIB(1,1,1,1,1,1,heads=2)", 20, "expected an option of ATTNIB, one of bn, not 'heads'"),
        ("ECAIB(1,1,1,1,1,1,ratio=5)", 19, "expected an option of ECAIB, one of bn, not 'ratio'"),
        ("C(64,3", 7, "expected ')' to close C, not the end"),
        ("C(64,", 6, "expected a whole number for the kernel of C, not the end"),
        ("C(64,3.5)", 7, "expected ')' to close C, not '.'"),
        ("C(64,-3)", 6, "expected a whole number for the kernel of C, not '-'"),
        ("C(6_4,3)", 3, "expected a whole number for the filters of C, not '6_4'"),
        ("C(٣,3)", 3, "expected a whole number for the filters of C, not '\\u0663'"),
        ("C(64,three)", 6, "expected a whole number for the kernel of C, not 'three'"),
        ("C(0,3)", 3, f"the filters of C must lie between 1 and {MAX_NUMBER}, not 0"),
        ("C(2147483648,3)", 3, f"the filters of C must lie between 1 and {MAX_NUMBER}, not 2147483648"),
        (f"C({'9' * 9000},3)", 3, f"the filters of C must lie between 1 and {MAX_NUMBER}, not 99999999999999999..."),
        ("IB(32,64,128,16,32)", 19, "expected ',' and the pool_proj of IB, not ')'"),
        ("SEIB(32,64,128,16,32,32,1)", 25, "expected an option of SEIB, one of bn, ratio, not '1'"),
        ("C(1,1) P(1,1) Concat(1(-4),1(-5)) F() FC(10)", 22, "expected ')' to close Concat, not '1'"),
        ("F(1) FC(10)", 3, "expected ')' to close F, not '1'"),
        ("F() FC()", 8, "expected a whole number for the outputs of FC, not ')'"),
    ],
)
def test_invalid_notation(text: str, position: int, reason: str) -> None:
    """Each invalid text is refused with one sentence and the character where it goes wrong."""
    with pytest.raises(NotationError) as caught:
        parse_notation(text)

    assert (position, reason) == (caught.value.position, caught.value.reason)
    assert f"character {position}: {reason}" == str(caught.value)


def test_largest_number() -> None:
    """The largest number of the notation is read."""
    assert Linear(outputs=MAX_NUMBER) == parse_notation(f"F() FC({MAX_NUMBER})").layers[-1]


def test_longest_net() -> None:
    """A net may have MAX_LAYERS layers; the first one too many is named."""
    head = "F() FC(10)"
    longest = "P(1,1) " * (MAX_LAYERS - 2)

    layers = parse_notation(longest + head).layers
    with pytest.raises(NotationError) as caught:
        parse_notation("P(1,1) " + longest + head)

    assert MAX_LAYERS == len(layers)
    assert (7 * (MAX_LAYERS - 1) + 5, f"a net has at most {MAX_LAYERS} layers") == (
        caught.value.position,
        caught.value.reason,
    )


def test_longest_text() -> None:
    """A longer text than MAX_CHARACTERS is refused unread."""
    padding = " " * (MAX_CHARACTERS - len(INITIAL))

    architecture = parse_notation(INITIAL + padding)
    with pytest.raises(NotationError) as caught:
        parse_notation(INITIAL + padding + " ")

    assert initial_architecture(BlockType.INCEPTION, 10) == architecture
    assert MAX_CHARACTERS + 1 == caught.value.position
