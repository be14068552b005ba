# SPDX-License-Identifier: Apache-2.0
"""Requests as a fuzzer makes them: half with broken bytes, half that keep to the schema and to nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from served import start_request


def _mutate_bytes(draw: random.Random, payload: bytes) -> bytes:
    """Flip, drop, repeat and insert some bytes."""
    content = bytearray(payload)
    for _ in range(draw.randint(1, 4)):
        position = draw.randint(0, len(content))
        removed = draw.choice((0, 0, 1, 1, 2, 9))
        content[position : position + removed] = draw.randbytes(draw.choice((0, 1, 1, 2, 9)))
    return bytes(content)


_NUMBERS = (0, 1, -1, 2, 7, 50, 200, 999, 2**31 - 1, -(2**31))
_WIDE = (2**31, 2**32, 2**63 - 1, -(2**63))
_TEXTS = (
    "",
    "0-1",
    "1-1",
    "9-9",
    "digits",
    "mnist",
    "x" * 300,
    "../../etc/passwd",
    "%2e%2e/",
    "\x00\n\x1b[31m",
    "Ω" * 9,
)


def _value(draw: random.Random, field: Any, known: Sequence[str]) -> Any:
    """Something for a field that is right in its type and in nothing else."""
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_STRING:
        return draw.choice((*_TEXTS, *known))
    if field.type == kinds.TYPE_BOOL:
        return draw.random() < 0.5
    if field.type in (kinds.TYPE_DOUBLE, kinds.TYPE_FLOAT):
        return draw.choice((0.0, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -1.0, 0.5))
    if field.type == kinds.TYPE_ENUM:
        return draw.choice((0, 1, 2, 3, 99, -5))
    if field.type == kinds.TYPE_BYTES:
        return draw.randbytes(5)
    return draw.choice(_NUMBERS + (_WIDE if field.type == kinds.TYPE_INT64 else ()))


def _mutate_message(draw: random.Random, message: Message, known: Sequence[str]) -> None:
    """Change some fields, within the schema."""
    for field in message.DESCRIPTOR.fields:
        if draw.random() < 0.75 or field.is_repeated:
            continue
        if field.message_type is None:
            setattr(message, field.name, _value(draw, field, known))
        elif draw.random() < 0.2:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
            _mutate_message(draw, getattr(message, field.name), known)


def odd_request(draw: random.Random, method: MethodDescriptor, known: Sequence[str]) -> bytes:
    """One request: half of them with broken bytes, half with odd values."""
    message: Any
    if method.name == "StartSearch":
        message = start_request(draw.randint(1, 3))
        message.validate_only = draw.random() < 0.5
    else:
        message = GetMessageClass(method.input_type)()
        if "search_id" in method.input_type.fields_by_name and draw.random() < 0.8:
            message.search_id = draw.choice(known)
        if "child_id" in method.input_type.fields_by_name and draw.random() < 0.5:
            message.child_id = "1-1"
    if draw.random() < 0.5:
        return _mutate_bytes(draw, message.SerializeToString())
    _mutate_message(draw, message, known)
    return bytes(message.SerializeToString())
