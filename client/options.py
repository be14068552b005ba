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
from nas.augmentations import AUGMENTATIONS
from nas.folders import CLASS_MAPS, FITS
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
_OPTIONS = (
    click.option(
        "--dataset", required=True, metavar="NAME", help="Data set of the server: mnist, kau, folder:PATH and others."
    ),
    click.option("--block", required=True, type=click.Choice(list(BLOCKS)), help="Inception, or SE-Inception."),
    click.option("--preset", type=click.Choice(list(PRESETS)), help="Rules and defaults."),
    click.option("--seed", type=_INT64, metavar="N", help="Seed of everything random."),
    click.option(
        "--max-iterations", type=_INT32, metavar="N", help="Most iterations; 0 trains the initial model alone."
    ),
    click.option("--max-epochs", type=_INT32, metavar="N", help="Most epochs of a child's training."),
    click.option(
        "--patience", type=_INT32, metavar="N", help="Epochs without a lower validation loss that end a training."
    ),
    click.option("--learning-rate", type=float, metavar="X", help="Adam's step size."),
    click.option("--weight-decay", type=float, metavar="X", help="Decoupled weight decay."),
    click.option("--batch-size", type=_INT32, metavar="N", help="Images a step."),
    click.option("--input-size", type=_INT32, metavar="N", help="Side of the square input in pixels."),
    click.option(
        "--train-limit", type=_INT32, metavar="N", help="Images from which training and validation are split."
    ),
    click.option("--time-budget", type=parse_span, metavar="SPAN", help="Most running time: 90s, 30m, 12h, none."),
    click.option(
        "--imbalance",
        type=click.Choice(list(IMBALANCES)),
        help="Against classes of different size: weights in the loss, equally many images of each, focal loss.",
    ),
    click.option(
        "--augment", metavar="KINDS", help=f"Vary the training images: all, or some of {','.join(AUGMENTATIONS)}."
    ),
    click.option("--device", type=click.Choice(list(DEVICES)), help="Where children train."),
    click.option("--precision", type=click.Choice(list(PRECISIONS)), help="Number format of the forward pass."),
    click.option("--threads", type=_INT32, metavar="N", help="CPU threads of a worker."),
    click.option("--initial", type=parse_net, metavar="NOTATION", help="The initial model."),
    click.option(
        "--selection-metric",
        type=click.Choice(list(METRICS)),
        help="What the best child is best at; auto, also without a preset, is balanced accuracy on an imbalanced set.",
    ),
    click.option("--max-parameters", type=_INT64, metavar="N", help="Most parameters of a child."),
    click.option("--class-map", metavar="MAP", help=f"{', '.join(CLASS_MAPS)}, or your own: 1=benign,4=malignant."),
    click.option("--fit", type=click.Choice(FITS), help="Pad images to a square, or cut out the breast first."),
    click.option("--group-regex", metavar="REGEX", help="Finds in a path the patient, who must be in one part only."),
    click.option("--folds", type=_INT32, metavar="K", help="Deal the images into K test parts, for cross-validation."),
    click.option("--fold", type=_INT32, metavar="I", help="Which of the K is the test part, from 1."),
    click.option(
        "--sample-bits", type=_INT32, metavar="N", help="Bits that a value of a 16-bit grey image takes, if not 16."
    ),
    click.option("--max-bad-files", type=_INT32, metavar="N", help="Unreadable images to leave out before giving up."),
)

_PLAIN = (
    *("seed", "initial", "input_size", "train_limit", "max_iterations", "max_parameters", "threads", "class_map"),
    *("max_bad_files", "fit", "group_regex", "folds", "fold", "sample_bits"),
)
_PLAIN_TRAINING = ("learning_rate", "weight_decay", "batch_size", "max_epochs", "patience", "augment")
_CHOSEN = ("preset", "selection_metric", "device", "precision", "imbalance")


verify_option = click.option("--verify", is_flag=True, help="Hash data again that seems unchanged since it was read.")


def search_options(command: Command) -> Command:
    """Give a command every option that describes a search."""
    for option in reversed(_OPTIONS):
        command = option(command)
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
