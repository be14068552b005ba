# SPDX-License-Identifier: Apache-2.0
"""The settings of a search on the wire.

In a request, a field left out takes the preset's value. In the journal it has its declared default, whatever presets
say in a later version. Nothing here names a setting: all follows from the declarations in ``nas.config`` and the
schema's fields of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from nas.api.v1 import search_pb2 as pb
from nas.config import Preset, SearchConfig, TrainingConfig
from nas.presets import preset_values
from nas.settings import REQUIRED, Setting, settings_of
from server.codec import enums
from server.codec.enums import CodecError
from server.codec.records import encode_duration

_ALWAYS_JOURNALED = {pb.SearchConfig.DESCRIPTOR.name: 22, pb.TrainingConfig.DESCRIPTOR.name: 12}
"""The last fields that journals hold even at their default. A later setting is left out there, so it changes no byte of
a journal that does not use it. These numbers never change."""


def encode_config(config: SearchConfig) -> pb.SearchConfig:
    """Write all settings for a client, with the defaults filled in."""
    message, preset = pb.SearchConfig(), preset_values(config.preset)
    _encode(message, config, settings_of(SearchConfig), preset)
    _encode(message.training, config.training, settings_of(TrainingConfig), preset)
    return message


def decode_config(message: pb.SearchConfig) -> SearchConfig:
    """Read what a client asks for, with the preset's values for what is left out.

    Raises:
        CodecError: an enum is missing or unknown.
        ConfigError: a setting is out of its range.
    """
    preset = preset_values(enums.decode(Preset, message.preset) if message.preset else None)
    training = TrainingConfig(**_decode(message.training, TrainingConfig, preset))
    return SearchConfig(**_decode(message, SearchConfig, preset), training=training)


def encode_journaled(config: SearchConfig) -> pb.SearchConfig:
    """Write the settings of a search that starts, for the journal."""
    message = pb.SearchConfig()
    _encode(message, config, _journaled(message, config), {})
    _encode(message.training, config.training, _journaled(message.training, config.training), {})
    return message


def decode_journaled(message: pb.SearchConfig) -> SearchConfig:
    """Read what ``encode_journaled`` wrote, in this version or an earlier one.

    Raises:
        CodecError: an enum is missing or unknown.
        ConfigError: a setting is out of its range.
    """
    training = TrainingConfig(**_decode(message.training, TrainingConfig, {}))
    return SearchConfig(**_decode(message, SearchConfig, {}), training=training)


def _journaled(message: Message, record: SearchConfig | TrainingConfig) -> list[Setting]:
    last, wire = _ALWAYS_JOURNALED[message.DESCRIPTOR.name], message.DESCRIPTOR.fields_by_name
    return [
        setting
        for setting in settings_of(type(record))
        if wire[setting.wire_name].number <= last or getattr(record, setting.name) != setting.default
    ]


def _encode(
    message: Message, record: SearchConfig | TrainingConfig, settings: Iterable[Setting], preset: Mapping[str, Any]
) -> None:
    for setting in settings:
        name, value = setting.wire_name, getattr(record, setting.name)
        if value is None:
            continue
        if setting.is_span:
            getattr(message, name).CopyFrom(encode_duration(value))
        elif setting.is_tuple:
            getattr(message, name).extend(_plain(member) for member in value)
        elif value == "" and setting.name in preset:
            setattr(message, name, setting.declaration.empty_word)
        else:
            setattr(message, name, _plain(value))


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
    if issubclass(setting.kind, Enum):
        return enums.decode(setting.kind, value, setting.wire_name)
    return "" if value == setting.declaration.empty_word else value


def _whole_seconds(name: str, duration: Duration) -> int:
    if duration.nanos:
        raise CodecError(name, "must be whole seconds")
    return duration.seconds
