# SPDX-License-Identifier: Apache-2.0
"""The settings of a search as a document: TOML, JSON or the words of a command line, by the names of the schema.

What the API shows of a config as JSON is such a document, so a search can be repeated from what ``nas-client`` printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from nas.api.v1 import search_pb2 as pb
from nas.config import SearchConfig
from server.codec import enums
from server.codec.enums import CodecError, EnumCodec
from server.codec.settings import decode_config

_ENUMS: dict[str, EnumCodec[Any]] = {
    "BlockType": enums.BLOCK,
    "Preset": enums.PRESET,
    "SelectionMetric": enums.METRIC,
    "Device": enums.DEVICE,
    "Precision": enums.PRECISION,
    "Imbalance": enums.IMBALANCE,
}
_TRAINING = "training"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a search.

    Attributes:
        name: as in the schema; no two settings share one, so those of the training need no prefix.
        words: what it can be, for a setting with a fixed choice.
        form: ``N``, ``X``, ``TEXT`` or ``SPAN``: what else can be written.
    """

    name: str
    words: tuple[str, ...]
    form: str


def search_settings() -> tuple[Setting, ...]:
    """Every setting that the schema has, in its order."""
    found = []
    for field in pb.SearchConfig.DESCRIPTOR.fields:
        inner = pb.TrainingConfig.DESCRIPTOR.fields if field.name == _TRAINING else (field,)
        found += [Setting(name=each.name, words=tuple(_words(each)), form=_form(each)) for each in inner]
    return tuple(found)


def read_config(document: Mapping[str, Any]) -> SearchConfig:
    """Read the settings of a search; those of the training may stand under ``training`` or beside the others.

    Raises:
        CodecError: a setting is unknown, missing or of the wrong kind.
        ConfigError: a setting is out of its range.
    """
    message = pb.SearchConfig()
    inner = pb.TrainingConfig.DESCRIPTOR.fields_by_name
    outside = {name: value for name, value in document.items() if name not in inner and name != _TRAINING}
    training = document.get(_TRAINING, {})
    if not isinstance(training, Mapping):
        raise CodecError(_TRAINING, "must be a table of settings")
    _fill(message, outside)
    _fill(message.training, training)
    _fill(message.training, {name: value for name, value in document.items() if name in inner})
    return decode_config(message)


def _fill(message: Message, document: Mapping[str, Any]) -> None:
    for name, value in document.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise CodecError(name[:40], f"is no setting of a search; there are {', '.join(_names())}")
        try:
            if field.message_type is not None:
                getattr(message, name).FromSeconds(_span(name, value))
            else:
                setattr(message, name, _read(field, value))  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            if isinstance(error, CodecError):
                raise
            raise CodecError(name, f"cannot be {str(value)[:40]!r}") from error


def _read(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        words = _words(field)
        if value not in words and value not in field.enum_type.values_by_name:
            raise CodecError(field.name, f"must be one of {', '.join(words)}, not {str(value)[:40]!r}")
        return words.get(value) or field.enum_type.values_by_name[value].number
    if isinstance(value, bool):
        raise CodecError(field.name, f"cannot be {str(value).lower()!r}")
    match _form(field):
        case "TEXT":
            return value
        case "X":
            return float(value)
        case _:
            return int(value) if isinstance(value, str) else value  # 64-bit numbers are strings in JSON


def _span(name: str, value: Any) -> int:
    """Seconds of ``90s``, ``30m``, ``12h``, ``2d``, a number of seconds, or ``none``."""
    text = "0" if value == "none" else str(value)
    match = re.fullmatch(r"([0-9]{1,11})([smhd]?)", text, flags=re.ASCII)
    if match is None:
        raise CodecError(name, f"must be a time span like 90s, 30m, 12h, 2d or none, not {text[:40]!r}")
    return int(match[1]) * _UNITS[match[2]]


def _words(field: FieldDescriptor) -> dict[str, int]:
    return {} if field.enum_type is None else _ENUMS[field.enum_type.name].words()


def _form(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return "SPAN"
    if field.type == FieldDescriptor.TYPE_STRING:
        return "TEXT"
    return "X" if field.type == FieldDescriptor.TYPE_DOUBLE else "N"


def _names() -> list[str]:
    return [setting.name for setting in search_settings()]
