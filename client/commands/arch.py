# SPDX-License-Identifier: Apache-2.0
"""``arch``: the pure core at the command line, without a server and without torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from client.errors import ClientError, Exit
from client.options import parse_whole
from client.output import write, write_document, write_message
from client.settings import Output, Settings, output_option
from client.views import layer_table
from nas.api.v1 import search_pb2
from nas.architecture import Architecture
from nas.blocks import BLOCKS, BlockType
from nas.canonical import graph_hash
from nas.config import InputShape
from nas.notation import NotationError, format_layer, format_notation, parse_notation
from nas.operations import Operation
from nas.shapes import ShapeError, summarise
from nas.transformations import ADDED_KERNELS, TRANSFORMATIONS, WIDEN_BY, Transformation, TransformationError, transform

_SHOW_EPILOG = """\b
Examples:
  nas-client arch show "C(64,3) F() FC(10)" --input 1x28x28
  nas-client arch show "C(64,3) IB(32,64,128,16,32,32)" --input 1x64x64 --classes 3
"""
_TRANSFORM_EPILOG = """\b
Examples:
  nas-client arch transform "C(64,3) F() FC(10)" --op widen --position 1 --by 32
  nas-client arch transform "C(64,3) P(1,1) F() FC(10)" --op add_block --position 2 --block seib
"""


def parse_input(text: str) -> InputShape:
    """Read ``CxHxW``, the shape of an image.

    Raises:
        click.BadParameter: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})x([0-9]{1,6})", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no shape; write CxHxW, for example 1x28x28.")
    try:
        return InputShape(channels=int(match[1]), height=int(match[2]), width=int(match[3]))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no shape: {error}.") from error


@click.group("arch")
def command() -> None:
    """Work out or transform a net, without a server.

    A net is written as in the paper, for example "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)".
    """


@command.command("show", epilog=_SHOW_EPILOG)
@click.argument("notation")
@click.option(
    "--input", "input_shape", type=parse_input, metavar="CxHxW", required=True, help="Channels, height and width."
)
@click.option(
    "--classes",
    type=parse_whole(32),
    metavar="N",
    help="Outputs of the head; adds the head F() FC(N) to a net without one.",
)
@output_option
@click.pass_obj
def show(settings: Settings, notation: str, input_shape: InputShape, classes: int | None) -> None:
    """Print the layers of a net with their shapes, parameters and FLOPs."""
    architecture = _parse(notation if classes is None else _with_head(notation, classes))
    if classes not in (None, architecture.classes):
        raise ClientError(
            f"The net ends with FC({architecture.classes}), but --classes is {classes}; make them equal.", Exit.USAGE
        )
    described = _describe(architecture, input_shape)
    if settings.output is Output.TEXT:
        write(layer_table(described))
    else:
        write_message(described, is_compact=settings.output is Output.JSONL)


@command.command("transform", epilog=_TRANSFORM_EPILOG)
@click.argument("notation")
@click.option("--op", required=True, type=click.Choice([o.value for o in Operation]), help="The transformation.")
@click.option(
    "--position",
    required=True,
    type=parse_whole(32),
    metavar="P",
    help="Layer, counted from 1, that it works on or after.",
)
@click.option(
    "--by", type=parse_whole(32), metavar="N", help=f"widen, narrow: channels more, fewer; default {WIDEN_BY}."
)
@click.option(
    "--kernel", type=parse_whole(32), metavar="K", help=f"add_layer: side of the kernel; default {ADDED_KERNELS[0]}."
)
@click.option(
    "--block", type=click.Choice([b.value for b in BlockType]), help="add_block: which; default: that of the net."
)
@click.option(
    "--input", "input_shape", type=parse_input, metavar="CxHxW", help="Check that the result fits this input."
)
@output_option
@click.pass_obj
def transform_command(
    settings: Settings, /, notation: str, op: str, position: int, input_shape: InputShape | None, **given: Any
) -> None:
    """Apply one transformation and print the notation of the result."""
    architecture = _parse(notation)
    operation = Operation(op)
    _refuse_foreign_options(operation, given)
    block = _block_type(architecture, given["block"]) if operation is Operation.ADD_BLOCK else BlockType.INCEPTION
    try:
        result = transform(architecture, _make(operation, position, given), block)
    except TransformationError as error:
        raise ClientError(f"This does not work: {error}.", Exit.USAGE) from error
    described = _describe(result, input_shape)
    if settings.output is Output.TEXT:
        write(described.notation)
    elif input_shape is None:
        # Without an input there are no figures, and zeros would be wrong ones.
        document = {"notation": described.notation, "graph_hash": described.graph_hash}
        write_document(document, is_compact=settings.output is Output.JSONL)
    else:
        write_message(described, is_compact=settings.output is Output.JSONL)


def _parse(notation: str) -> Architecture:
    try:
        return parse_notation(notation)
    except NotationError as error:
        raise ClientError(f"The notation is no net: {error}.", Exit.USAGE) from error


def _with_head(notation: str, classes: int) -> str:
    """Add the head to a notation that has none."""
    return notation if re.search(r"\b(F|FC|GAP)\s*\(", notation) else f"{notation} F() FC({classes})"


def _describe(architecture: Architecture, input_shape: InputShape | None) -> search_pb2.Architecture:
    """Work out the net; without an input there is nothing but its notation and hash."""
    described = search_pb2.Architecture(notation=format_notation(architecture), graph_hash=graph_hash(architecture))
    if input_shape is None:
        return described
    try:
        summaries = summarise(architecture, input_shape)
    except ShapeError as error:
        raise ClientError(f"The net does not fit an input of {input_shape}: {error}.", Exit.USAGE) from error
    described.param_count = sum(summary.param_count for summary in summaries)
    described.flops = sum(summary.flops for summary in summaries)
    for summary in summaries:
        described.layers.add(
            position=summary.position,
            notation=format_layer(summary.layer),
            output_shape=summary.output_shape,
            param_count=summary.param_count,
            flops=summary.flops,
        )
    return described


_DEFAULTS = {"kernel": ADDED_KERNELS[0], "by": WIDEN_BY}
"""Of the arguments that some operations have beside their position."""


def _refuse_foreign_options(operation: Operation, given: dict[str, Any]) -> None:
    for option in (*_DEFAULTS, "block"):
        owners = [kind.operation for kind in TRANSFORMATIONS.values() if option in _own_options(kind)]
        if given[option] is not None and operation not in owners:
            names = " or ".join(owner.value for owner in owners)
            raise click.UsageError(f"--{option} belongs to --op {names}, not to {operation.value}.")


def _own_options(kind: type[Transformation]) -> list[str]:
    return [*_own_arguments(kind), *(["block"] if kind.operation is Operation.ADD_BLOCK else [])]


def _own_arguments(kind: type[Transformation]) -> list[str]:
    return [field.name for field in fields(kind) if field.name in _DEFAULTS]  # type: ignore[arg-type]


def _block_type(architecture: Architecture, given: str | None) -> BlockType:
    if given is not None:
        return BlockType(given)
    found = [block_type for block_type, kind in BLOCKS.items() if kind in map(type, architecture.layers)]
    if len(found) != 1:
        names = " or ".join(f"--block {block_type.value}" for block_type in BlockType)
        raise click.UsageError(f"The net does not tell which block to add; say {names}.")
    return found[0]


def _make(operation: Operation, position: int, given: dict[str, Any]) -> Transformation:
    kind = TRANSFORMATIONS[operation]
    build: Callable[..., Transformation] = kind
    own = {name: _DEFAULTS[name] if given[name] is None else given[name] for name in _own_arguments(kind)}
    return build(position=position, **own)
