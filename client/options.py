# SPDX-License-Identifier: Apache-2.0
"""The options that describe a search, and the config they make; what is not given is left to the preset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar

import click
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from client.local import local_dataset
from client.settings import Settings
from nas.api.v1 import search_pb2
from nas.config import search_settings
from nas.notation import NotationError, format_notation, parse_notation
from nas.presets import describe_setting
from nas.settings import REQUIRED, ConfigError, Option, Setting
from nas.settings import parse_span as seconds_of

_MAX_DURATION_SECONDS = 315_576_000_000  # what google.protobuf.Duration can hold

Command = TypeVar("Command", bound=Callable[..., Any])


def parse_whole(bits: int) -> Callable[[str | int], int]:
    """Make a reader of whole numbers that fit a field of ``bits``; which of them make sense is the server's to say."""
    limit = 2 ** (bits - 1)

    def parse(value: str | int) -> int:
        text = str(value)
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not -limit <= int(text) < limit:
            raise click.BadParameter(f"{text!r} is no whole number between {-limit} and {limit - 1}.")
        return int(text)

    return parse


def parse_span(value: str | int) -> int:
    """Read a time span in seconds: ``90s``, ``30m``, ``12h``, ``2d`` or a number; ``none`` and ``0`` mean no limit.

    Raises:
        click.BadParameter: it is none.
    """
    text = str(value)
    try:
        seconds = seconds_of(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time span; write for example 90s, 30m, 12h, 2d, or none.") from error
    if seconds > _MAX_DURATION_SECONDS:
        raise click.BadParameter(f"{text!r} is too long.")
    return seconds


def parse_net(text: str) -> str:
    """Bring the notation of a net into its canonical form.

    Raises:
        click.BadParameter: it is no net.
    """
    try:
        return format_notation(parse_notation(text))
    except NotationError as error:
        raise click.BadParameter(f"it is no net: {error}.") from error


verify_option = click.option("--verify", is_flag=True, help="Hash data again that seems unchanged since it was read.")

_SETTINGS = tuple(each for each in search_settings() if each.declaration.option is Option.BOTH)
_FIELDS: Mapping[str, FieldDescriptor] = {
    **search_pb2.SearchConfig.DESCRIPTOR.fields_by_name,
    **search_pb2.TrainingConfig.DESCRIPTOR.fields_by_name,
}


def search_options(command: Command) -> Command:
    """Give a command every option that describes a search."""
    return _give(command, _SETTINGS)


def options_of(request: type[Message]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options of a search for which a request has a field."""
    names = request.DESCRIPTOR.fields_by_name
    return lambda command: _give(command, tuple(setting for setting in _SETTINGS if setting.wire_name in names))


def _give(command: Command, settings: tuple[Setting, ...]) -> Command:
    for setting in reversed(settings):
        choices = () if setting.is_tuple else setting.declaration.choices or tuple(setting.words)
        command = click.option(
            f"--{setting.wire_name.replace('_', '-')}",
            type=click.Choice(choices) if choices else _reader(setting),
            metavar=None if choices else setting.metavar,
            required=setting.default is REQUIRED,
            help=describe_setting(setting),
        )(command)
    return command


def _reader(setting: Setting) -> Any:
    if setting.is_span:
        return parse_span
    if setting.is_tuple:
        return _list_reader(setting)
    if setting.metavar == "NOTATION":
        return parse_net
    if setting.kind is int:
        return parse_whole(64 if _FIELDS[setting.wire_name].type == FieldDescriptor.TYPE_INT64 else 32)
    return setting.kind


def _list_reader(setting: Setting) -> Callable[[str], str]:
    """Make a reader of names with commas between them, which brings them into their canonical form."""

    def read(text: str) -> str:
        try:
            return setting.format_members(setting.read_members(text))
        except ConfigError as error:
            raise click.BadParameter(f"it {error.reason}.") from error

    return read


def make_config(given: Mapping[str, Any], settings: Settings) -> search_pb2.SearchConfig:
    """Build the config from the values of the options; None means not given."""
    config = search_pb2.SearchConfig()
    for setting, value in _values(given):
        name, field = setting.wire_name, _FIELDS[setting.wire_name]
        message = config if name in config.DESCRIPTOR.fields_by_name else config.training
        if setting.is_span:
            getattr(message, name).FromSeconds(value)
        elif field.enum_type is None:
            setattr(message, name, value)
        elif setting.is_tuple:
            getattr(message, name).extend(_number(field.enum_type, each) for each in setting.read_members(value))
        else:
            setattr(message, name, _number(field.enum_type, setting.words[value]))
    if settings.state_dir is not None:
        config.dataset = local_dataset(config.dataset)
    return config


def _number(enum: EnumDescriptor, member: Enum) -> int:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return int(enum.values_by_name[prefix + member.name].number)


def search_words(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Spell the options that were given, without data set and block, as ``nas-server run`` takes them."""
    values = ((setting.wire_name, value) for setting, value in _values(given) if setting.default is not REQUIRED)
    return tuple(f"--{name.replace('_', '-')}={value}" for name, value in values)


def _values(given: Mapping[str, Any]) -> Iterator[tuple[Setting, Any]]:
    values = ((setting, given[setting.wire_name]) for setting in _SETTINGS)
    return ((setting, value) for setting, value in values if value is not None)
