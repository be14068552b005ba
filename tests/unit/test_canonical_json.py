# SPDX-License-Identifier: Apache-2.0
"""The canonical JSON of records, on which hashes rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import pytest

from nas.canonical_json import canonical_json


class Colour(Enum):
    """An enum with one value."""

    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A record as a first version has it."""

    size: int
    rate: float = 0.5
    colour: Colour = Colour.RED
    inner: tuple[int, ...] = ()


def test_equal_records_have_one_text() -> None:
    """Every field that is not at its default is named, with its exact value."""
    record = Old(size=3, rate=0.1, inner=(1, 2))

    assert b'["Old",{"inner":[1,2],"rate":0.1,"size":3}]' == canonical_json(record)


def test_new_fields_with_defaults_change_nothing() -> None:
    """A record of a later version writes the same text as long as it uses nothing new."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Old:
        size: int
        added: str = ""
        also: tuple[int, ...] = field(default_factory=tuple)

    assert b'["Old",{"size":3}]' == canonical_json(Old(size=3))
    assert canonical_json(Old(size=3)) != canonical_json(Old(size=3, added="x"))


def test_types_are_told_apart() -> None:
    """A number and its text, an enum's record and another of the same fields, differ."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Other:
        size: int

    assert canonical_json(("1",)) != canonical_json((1,))
    assert canonical_json(Old(size=1)) != canonical_json(Other(size=1))


def test_what_has_no_form_is_refused() -> None:
    """Nothing is written by its repr, which may hold an address."""
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical_json({"x": object()})
