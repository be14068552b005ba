# SPDX-License-Identifier: Apache-2.0
"""The settings of a search as a document: TOML, JSON or the words of a command line, by the names of the schema.

What the API shows of a config as JSON is such a document, so a search can be repeated from what ``nas-client`` printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from nas.api.v1 import search_pb2 as pb
from nas.config import SearchConfig, search_settings
from nas.settings import ConfigError, Setting, parse_span
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.settings import decode_config

_TRAINING = "training"
_SETTINGS = {setting.wire_name: setting for setting in search_settings()}


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
            raise CodecError(name[:40], f"is no setting of a search; there are {', '.join(_SETTINGS)}")
        setting = _SETTINGS[name]
        try:
            if setting.is_span:
                getattr(message, name).FromSeconds(_span(name, value))
            elif setting.is_tuple:
                members = setting.split_members(value) if isinstance(value, str) else value
                getattr(message, name).extend(_read(setting, field, member) for member in members)
            else:
                setattr(message, name, _read(setting, field, value))
        except (ValueError, TypeError) as error:
            if isinstance(error, CodecError | ConfigError):
                raise
            raise CodecError(name, f"cannot be {str(value)[:40]!r}") from error


def _read(setting: Setting, field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        words, member = setting.words, setting.read_member(str(value))
        if member is not None:
            return enums.encode(member)
        if value not in field.enum_type.values_by_name:
            raise CodecError(field.name, f"must be one of {', '.join(words)}, not {str(value)[:40]!r}")
        return field.enum_type.values_by_name[value].number
    if isinstance(value, bool):
        raise CodecError(field.name, f"cannot be {str(value).lower()!r}")
    if setting.kind is str:
        return value
    if setting.kind is float:
        return float(value)
    return int(value) if isinstance(value, str) else value  # 64-bit numbers are strings in JSON


def _span(name: str, value: Any) -> int:
    try:
        return parse_span(str(value))
    except ValueError as error:
        raise CodecError(
            name, f"must be a time span like 90s, 30m, 12h, 2d or none, not {str(value)[:40]!r}"
        ) from error
