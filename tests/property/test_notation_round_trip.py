# SPDX-License-Identifier: Apache-2.0
"""Notation: printing and parsing undo each other, and no text does anything but parse or be refused."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from strategies import architectures

from nas.architecture import Architecture
from nas.notation import NotationError, format_notation, parse_notation

_FRAGMENTS = st.sampled_from(
    [
        "C",
        "P",
        "IB",
        "SEIB",
        "ECAIB",
        "ATTNIB",
        "Concat",
        "F",
        "GAP",
        "FC",
        "bn",
        "same",
        "ratio",
        "=",
        "(",
        ")",
        ",",
        ";",
        " ",
        "1",
        "3",
        "64",
        "-",
    ]
)


@given(architectures(max_layers=12, max_width=300))
def test_round_trip(architecture: Architecture) -> None:
    """parse(format(a)) == a for every net."""
    assert architecture == parse_notation(format_notation(architecture))


@given(architectures(), st.data())
def test_separators_do_not_matter(architecture: Architecture, data: st.DataObject) -> None:
    """However the layers are separated, the same net is read."""
    separators = st.text(" \t\r\n;", min_size=1, max_size=3)
    text = "".join(layer + data.draw(separators) for layer in format_notation(architecture).split(" "))

    parsed = parse_notation(text)

    assert architecture == parsed


@given(st.one_of(st.text(), st.lists(_FRAGMENTS).map("".join)))
@example("C(64,3) F() FC(10")
def test_any_text(text: str) -> None:
    """A text is a net, or is refused with one printable sentence and a position in the text or just after it."""
    outcome = _parse(text)

    if isinstance(outcome, NotationError):
        assert 1 <= outcome.position <= len(text) + 1
        assert str(outcome).isprintable()
    else:
        assert outcome == parse_notation(format_notation(outcome))


@given(architectures(max_layers=4), st.data())
def test_a_damaged_text(architecture: Architecture, data: st.DataObject) -> None:
    """After any one character is replaced by a letter that is in no name, the position is never behind it."""
    text = format_notation(architecture)
    at = data.draw(st.integers(0, len(text) - 1))

    outcome = _parse(text[:at] + "Z" + text[at + 1 :])

    assert isinstance(outcome, NotationError)
    assert outcome.position <= at + 1


def _parse(text: str) -> Architecture | NotationError:
    try:
        return parse_notation(text)
    except NotationError as error:
        return error
