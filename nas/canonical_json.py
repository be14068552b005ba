# SPDX-License-Identifier: Apache-2.0
"""Frozen records as canonical JSON: equal texts for equal values, whatever fields are added later.

A field that has its default value is left out. So a new field with a default changes neither text nor hash of a record
that does not use it.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any


def canonical_json(value: object) -> bytes:
    """Write records, enums, tuples, mappings with text keys and plain values as one line of ASCII.

    A record becomes ``[class name, {field: value}]``. Floats are written as the shortest text that reads back as the
    same bits.

    Raises:
        TypeError: there is something else in it.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def set_fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record that differ from their default, in the order of their declaration."""
    return {field.name: getattr(record, field.name) for field in fields(record) if not _has_default(record, field)}


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {name: _plain(inner) for name, inner in set_fields(value).items()}]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _has_default(record: object, field: Field[Any]) -> bool:
    value = getattr(record, field.name)
    if field.default_factory is not MISSING:
        return bool(value == field.default_factory())
    return field.default is not MISSING and bool(value == field.default)
