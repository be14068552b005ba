# SPDX-License-Identifier: Apache-2.0
"""Enums of the domain and of the wire have the same names; the wire adds the prefix that buf asks for.

``SearchState`` of the domain is ``Search.State`` of the wire, and so on for each enum inside a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor

from nas.api.v1 import search_pb2 as pb

EnumT = TypeVar("EnumT", bound=Enum)


class CodecError(ValueError):
    """A message that means nothing in the domain; ``field`` names the place."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


def encode(member: Enum) -> Any:
    """Return the number on the wire."""
    return numbers(type(member))[member]


def decode(kind: type[EnumT], number: int, field: str = "") -> EnumT:
    """Return the member of a domain enum; ``field`` is what the message calls it, by default the enum's name.

    Raises:
        CodecError: the number is 0 or from a newer version.
    """
    found: EnumT | None = next((member for member, known in numbers(kind).items() if known == number), None)
    if found is not None:
        return found
    reason = "is missing" if number == 0 else f"has the unknown value {number}"
    raise CodecError(field or snake_case(kind.__name__), reason)


@cache
def numbers(kind: type[EnumT]) -> Mapping[EnumT, int]:
    """Return the number of every member on the wire.

    Raises:
        KeyError: the schema has no such enum or member.
    """
    wire = _wire_enums()[kind.__name__]
    prefix = snake_case(wire.name).upper()
    return {member: wire.values_by_name[f"{prefix}_{member.name}"].number for member in kind}


def snake_case(name: str) -> str:
    """Turn ``BlockType`` into ``block_type``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@cache
def _wire_enums() -> Mapping[str, EnumDescriptor]:
    schema = pb.DESCRIPTOR
    inner = {
        f"{message.name}{enum.name}": enum
        for message in schema.message_types_by_name.values()
        for enum in message.enum_types
    }
    return {**schema.enum_types_by_name, **inner}
