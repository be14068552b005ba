# SPDX-License-Identifier: Apache-2.0
"""Records of the domain that mirror a message of the schema: both directions follow from the names of the fields.

A field has the same name on both sides, or is renamed where the pair is made. Its annotation says how it travels: plain
values as they are, enums by ``enums``, child ids as text, other records as the codec given for their class.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from nas.child import ChildId
from server.codec import enums
from server.codec.enums import CodecError

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class Codec(Generic[RecordT]):
    """How a record becomes a message, and a message the record again; ``decode`` may raise CodecError."""

    encode: Callable[[RecordT], Any]
    decode: Callable[[Any], RecordT]


Codecs: TypeAlias = Mapping[Any, Codec[Any]]

_AS_IT_IS: Codec[Any] = Codec(lambda value: value, lambda value: value)


def decode_child_id(text: str, field: str) -> ChildId:
    """Read ``x-y``.

    Raises:
        CodecError: ``field`` is missing or no child id.
    """
    try:
        return ChildId.parse(text)
    except ValueError:
        raise CodecError(field, f"must be a child id x-y, not {text[:40]!r}") from None


def mirror(record: type[RecordT], message: type[Any], codecs: Codecs | None = None, **renamed: str) -> Codec[RecordT]:
    """Pair a record with the message that it mirrors.

    Args:
        record: a dataclass.
        message: the generated class.
        codecs: of the records in it, by class.
        renamed: names on the wire, by those fields of the record whose name there is another.

    Raises:
        TypeError: a field has a type that no rule covers.
        KeyError: the message has no field of that name.
    """
    kinds = get_type_hints(record)
    pairs = []
    for field in fields(record):  # type: ignore[arg-type]  # mypy wants a bound that no one can spell
        name = renamed.get(field.name, field.name)
        has_presence = message.DESCRIPTOR.fields_by_name[name].has_presence
        pairs.append((field.name, name, _field_codec(kinds[field.name], name, codecs or {}, has_presence=has_presence)))

    def encode(value: RecordT) -> Any:
        return message(**{wire: codec.encode(getattr(value, name)) for name, wire, codec in pairs})

    def decode(found: Any) -> RecordT:
        return record(**{name: codec.decode(found) for name, _, codec in pairs})

    return Codec(encode, decode)


def _field_codec(kind: Any, name: str, codecs: Codecs, *, has_presence: bool) -> Codec[Any]:
    """Return what encodes the value of a field, and what decodes it from the message that holds it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType) and arguments[1:] == (type(None),):
        inner = _value_codec(arguments[0], name, codecs)

        def decode_optional(message: Any) -> Any:
            is_there = message.HasField(name) if has_presence else getattr(message, name)
            return inner.decode(getattr(message, name)) if is_there else None

        return Codec(lambda value: None if value is None else inner.encode(value), decode_optional)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        member = _value_codec(arguments[0], name, codecs)
        return Codec(
            lambda value: [member.encode(each) for each in value],
            lambda message: tuple(member.decode(each) for each in getattr(message, name)),
        )
    codec = _value_codec(kind, name, codecs)
    return Codec(codec.encode, lambda message: codec.decode(getattr(message, name)))


def _value_codec(kind: Any, name: str, codecs: Codecs) -> Codec[Any]:
    if kind in codecs:
        return codecs[kind]
    if kind is ChildId:
        return Codec(str, partial(decode_child_id, field=name))
    if kind in (int, float, str, bool):
        return _AS_IT_IS
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Codec(enums.encode, partial(enums.decode, kind))
    raise TypeError(f"{name}: no rule writes a {kind} into a message")
