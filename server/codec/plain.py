# SPDX-License-Identifier: Apache-2.0
"""Frozen records as one line of JSON and back, strictly by the annotations of their fields.

A reader is made from a class before anything is read. An annotation that no rule here covers is an error then, so no
field passes unchecked. pydantic reads the same classes, but takes neither a range for their numbers nor a refusal of
unknown names unless the pure core imports it, and costs a worker 0.1 s.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from nas.api.v1 import search_pb2 as pb
from nas.assessment import Assessed, Assessment
from nas.child import ChildId
from server.codec.assessments import ASSESSED, ASSESSMENT

RecordT = TypeVar("RecordT")
MessageT = TypeVar("MessageT", bound=Message)
Reader = Callable[[Any], Any]

MOST_INT32, MOST_INT64 = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be read beside the right kind of value.

    Attributes:
        most: the largest whole number; no number is negative. A count in a tuple may take 64 bits in any case.
        is_text: whether a text is allowed.
    """

    most: int = MOST_INT64
    is_text: Callable[[str], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class _Form:
    """How a record that is no JSON object of its fields is written and read."""

    write: Callable[[Any], Any]
    read: Reader


_FORMS: Mapping[type[Any], _Form] = {
    ChildId: _Form(str, lambda text: ChildId.parse(_require(str, text))),
    Assessment: _Form(
        lambda value: MessageToDict(ASSESSMENT.encode(value)),
        lambda content: ASSESSMENT.decode(_parse(content, pb.Assessment())),
    ),
    Assessed: _Form(
        lambda value: MessageToDict(ASSESSED.encode(value)),
        lambda content: ASSESSED.decode(_parse(content, pb.AssessedChild())),
    ),
}
"""What the schema says about an assessment is checked by the schema."""


def write(record: object) -> bytes:
    """Write a record as JSON in one line, without the end of the line. Floats come back as the same bits.

    Raises:
        TypeError: there is something in it that has no JSON form.
    """
    return json.dumps(record, separators=(",", ":"), default=_plain).encode()


def read(kind: type[RecordT], text: bytes, limits: Limits = Limits()) -> RecordT:
    """Read what ``write`` wrote.

    Raises:
        ValueError: it is no record of that kind.
        TypeError: the kind has a field that no rule covers.
    """
    return cast("RecordT", make_reader(kind, limits)(json.loads(text)))


def make_reader(kind: Any, limits: Limits) -> Reader:
    """Return what turns plain JSON values into a value of a kind, or raises ValueError.

    Raises:
        TypeError: no rule covers the kind, or that of a field.
    """
    if kind in _FORMS:
        return _FORMS[kind].read
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if is_dataclass(kind):
        return _record_reader(kind, limits)
    return _plain_reader(kind, limits)


def _plain_reader(kind: Any, limits: Limits) -> Reader:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (bool, float):
        return lambda value: _require(kind, value)
    if kind is int:
        return lambda value: _require_whole(value, limits.most)
    if kind is str:
        return lambda value: _require_text(value, limits)
    if kind == dict[str, Any]:
        return lambda value: _require(dict, value)
    if origin in (Union, types.UnionType) and type(None) in arguments and len(arguments) == 2:
        inner = make_reader(next(each for each in arguments if each is not type(None)), limits)
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple_reader(arguments, limits)
    raise TypeError(f"no rule reads a {kind} from JSON")


def _tuple_reader(arguments: tuple[Any, ...], limits: Limits) -> Reader:
    if arguments == (int, ...):
        return lambda value: tuple(_require_whole(each, MOST_INT64) for each in _require(list, value))
    if arguments[-1] is Ellipsis:
        member = make_reader(arguments[0], limits)
        return lambda value: tuple(member(each) for each in _require(list, value))
    members = [make_reader(each, limits) for each in arguments]
    return lambda value: tuple(member(each) for member, each in zip(members, _require(list, value), strict=True))


def _record_reader(kind: Any, limits: Limits) -> Reader:
    kinds = get_type_hints(kind)
    readers = {field.name: make_reader(kinds[field.name], limits) for field in fields(kind)}

    def read_record(value: Any) -> Any:
        if _require(dict, value).keys() != readers.keys():
            raise ValueError(f"{kind.__name__} has the fields {', '.join(readers)}, not {', '.join(value)}")
        return kind(**{name: _name_field(name, reader, value[name]) for name, reader in readers.items()})

    return read_record


def _name_field(name: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error


def _require(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"cannot be {value!r:.80}")
    return value


def _require_whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"cannot be {value!r:.80}")
    return value


def _require_text(value: Any, limits: Limits) -> str:
    if type(value) is not str or not limits.is_text(value):
        raise ValueError(f"cannot be {value!r:.80}")
    return value


def _parse(content: Any, message: MessageT) -> MessageT:
    try:
        return ParseDict(_require(dict, content), message)
    except (JsonError, SystemError, TypeError, AttributeError) as error:  # SystemError for text that is no UTF-8
        raise ValueError(str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if type(value) in _FORMS:
        return _FORMS[type(value)].write(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")
