# SPDX-License-Identifier: Apache-2.0
"""The options that describe a search, and the config they make; what is not given is left to the preset."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from client.local import local_dataset
from client.phrases import BLOCKS
from client.settings import Settings
from client.text import word
from nas.api.v1 import search_pb2
from nas.descriptions import SETTINGS
from nas.folders import FITS
from nas.notation import NotationError, format_notation, parse_notation

_MAX_DURATION_SECONDS = 315_576_000_000  # what google.protobuf.Duration can hold
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

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
    if text == "none":
        return 0
    match = re.fullmatch(r"([0-9]{1,12})([smhd]?)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time span; write for example 90s, 30m, 12h, 2d, or none.")
    seconds = int(match[1]) * _UNITS[match[2]]
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


def choices(enum: Any) -> dict[str, int]:
    """The values of a generated enum by the words that an option takes."""
    numbers = [value.number for value in enum.DESCRIPTOR.values if value.number]
    return {word(enum, number).replace(" ", "-"): number for number in numbers}


PRESETS = choices(search_pb2.Preset)
DEVICES = choices(search_pb2.Device)
PRECISIONS = choices(search_pb2.Precision)
IMBALANCES = choices(search_pb2.Imbalance)
METRICS = choices(search_pb2.SelectionMetric)

_INT32, _INT64 = parse_whole(32), parse_whole(64)
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "dataset": {"metavar": "NAME", "required": True},
    "block": {"type": click.Choice(list(BLOCKS)), "required": True},
    "preset": {"type": click.Choice(list(PRESETS))},
    "seed": {"type": _INT64, "metavar": "N"},
    "max_iterations": {"type": _INT32, "metavar": "N"},
    "max_epochs": {"type": _INT32, "metavar": "N"},
    "patience": {"type": _INT32, "metavar": "N"},
    "learning_rate": {"type": float, "metavar": "X"},
    "weight_decay": {"type": float, "metavar": "X"},
    "batch_size": {"type": _INT32, "metavar": "N"},
    "input_size": {"type": _INT32, "metavar": "N"},
    "train_limit": {"type": _INT32, "metavar": "N"},
    "time_budget": {"type": parse_span, "metavar": "SPAN"},
    "imbalance": {"type": click.Choice(list(IMBALANCES))},
    "augment": {"metavar": "KINDS"},
    "device": {"type": click.Choice(list(DEVICES))},
    "precision": {"type": click.Choice(list(PRECISIONS))},
    "threads": {"type": _INT32, "metavar": "N"},
    "initial": {"type": parse_net, "metavar": "NOTATION"},
    "selection_metric": {"type": click.Choice(list(METRICS))},
    "max_parameters": {"type": _INT64, "metavar": "N"},
    "max_attempts": {"type": _INT32, "metavar": "N"},
    "max_failed_children": {"type": _INT32, "metavar": "N"},
    "class_map": {"metavar": "MAP"},
    "fit": {"type": click.Choice(FITS)},
    "group_regex": {"metavar": "REGEX"},
    "folds": {"type": _INT32, "metavar": "K"},
    "fold": {"type": _INT32, "metavar": "I"},
    "sample_bits": {"type": _INT32, "metavar": "N"},
    "max_bad_files": {"type": _INT32, "metavar": "N"},
}

_PLAIN = (
    *("seed", "initial", "input_size", "train_limit", "max_iterations", "max_parameters", "threads", "class_map"),
    *("max_attempts", "max_failed_children", "max_bad_files", "fit", "group_regex", "folds", "fold", "sample_bits"),
)
_PLAIN_TRAINING = ("learning_rate", "weight_decay", "batch_size", "max_epochs", "patience", "augment")
_CHOSEN = ("preset", "selection_metric", "device", "precision", "imbalance")


verify_option = click.option("--verify", is_flag=True, help="Hash data again that seems unchanged since it was read.")


def search_options(command: Command) -> Command:
    """Give a command every option that describes a search."""
    for name, form in reversed(tuple(_OPTIONS.items())):
        command = click.option(f"--{name.replace('_', '-')}", help=SETTINGS[name], **form)(command)
    return command


def make_config(given: Mapping[str, Any], settings: Settings) -> search_pb2.SearchConfig:
    """Build the config from the values of the options; None means not given."""
    dataset = given["dataset"] if settings.state_dir is None else local_dataset(given["dataset"])
    config = search_pb2.SearchConfig(dataset=dataset, block=BLOCKS[given["block"]])
    for name in _PLAIN:
        if given[name] is not None:
            setattr(config, name, given[name])
    for name in _PLAIN_TRAINING:
        if given[name] is not None:
            setattr(config.training, name, given[name])
    if given["time_budget"] is not None:
        config.time_budget.FromSeconds(given["time_budget"])
    for message, name, words in (
        (config, "preset", PRESETS),
        (config, "selection_metric", METRICS),
        (config.training, "device", DEVICES),
        (config.training, "precision", PRECISIONS),
        (config.training, "imbalance", IMBALANCES),
    ):
        if given[name] is not None:
            setattr(message, name, words[given[name]])
    return config


def search_words(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Spell the options that were given, without data set and block, as ``nas-server run`` takes them."""
    names = (*_PLAIN, *_PLAIN_TRAINING, *_CHOSEN, "time_budget")
    return tuple(f"--{name.replace('_', '-')}={given[name]}" for name in names if given[name] is not None)
