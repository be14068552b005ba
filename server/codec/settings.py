# SPDX-License-Identifier: Apache-2.0
"""The settings of a search on the wire, where a field left out takes the preset's value.

Nothing here names a setting: both directions follow from the declarations in ``nas.config`` and the schema's fields of
the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from nas.api.v1 import search_pb2 as pb
from nas.config import PRESETS, Preset, SearchConfig, TrainingConfig
from nas.settings import REQUIRED, Setting, settings_of
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.records import encode_duration


def encode_config(config: SearchConfig) -> pb.SearchConfig:
    """All settings, with the defaults filled in except those of texts and tuples, which empty fields stand for."""
    message = pb.SearchConfig()
    preset = PRESETS[config.preset]
    _encode(message, config, preset)
    _encode(message.training, config.training, preset)
    return message


def decode_config(message: pb.SearchConfig) -> SearchConfig:
    """Settings with the preset's values for what is left out.

    Raises:
        CodecError: an enum is missing or unknown.
        ConfigError: a setting is out of its range.
    """
    preset = PRESETS[enums.decode(Preset, message.preset) if message.preset else None]
    training = TrainingConfig(**_decode(message.training, TrainingConfig, preset))
    return SearchConfig(**_decode(message, SearchConfig, preset), training=training)


def _encode(message: Message, record: SearchConfig | TrainingConfig, preset: Mapping[str, Any]) -> None:
    for setting in settings_of(type(record)):
        name, value = setting.wire_name, getattr(record, setting.name)
        if value is None or (value == setting.default and _may_be_empty(setting) and setting.name not in preset):
            continue
        if setting.is_span:
            getattr(message, name).CopyFrom(encode_duration(value))
        elif setting.is_tuple:
            getattr(message, name).extend(_plain(member) for member in value)
        else:
            setattr(message, name, _plain(value))


def _may_be_empty(setting: Setting) -> bool:
    """Whether an empty field means the default, so that journals of searches without the setting stay as they were."""
    return setting.is_tuple or setting.kind is str


def _plain(value: Any) -> Any:
    return enums.encode(value) if isinstance(value, Enum) else value


def _decode(message: Message, record: type[Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in preset.items() if name in {each.name for each in settings_of(record)}}
    for setting in settings_of(record):
        if setting.default is REQUIRED or _is_given(message, setting.wire_name):
            found[setting.name] = _read(setting, getattr(message, setting.wire_name))
    return found


def _is_given(message: Message, name: str) -> bool:
    """Whether a field is there; one without presence is, unless it is 0 or empty."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return message.HasField(name) if field.has_presence else bool(getattr(message, name))


def _read(setting: Setting, value: Any) -> Any:
    if setting.is_span:
        return _whole_seconds(setting.wire_name, value)
    if setting.is_tuple:
        return tuple(_read_one(setting, member) for member in value)
    return _read_one(setting, value)


def _read_one(setting: Setting, value: Any) -> Any:
    return enums.decode(setting.kind, value, setting.wire_name) if issubclass(setting.kind, Enum) else value


def _whole_seconds(name: str, duration: Duration) -> int:
    if duration.nanos:
        raise CodecError(name, "must be whole seconds")
    return duration.seconds
