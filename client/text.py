# SPDX-License-Identifier: Apache-2.0
"""The small pieces that every output is made of: numbers, words and tables as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from nas.text import escape

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp


def word(enum: Any, value: int) -> str:
    """Print ``LOST_REASON_OUT_OF_MEMORY`` as "out of memory", and a value of a newer server as its number.

    Args:
        enum: a generated enum, for example ``search_pb2.LostReason``.
        value: one of its values, or a number that it does not know yet.
    """
    descriptor = enum.DESCRIPTOR
    known = descriptor.values_by_number.get(value)
    if known is None:
        return f"unknown ({value})"
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", descriptor.name).upper() + "_"
    return str(known.name).removeprefix(prefix).lower().replace("_", " ")


def clock(duration: Duration) -> str:
    """Print a duration as ``h:mm:ss``."""
    return span(duration.seconds)


def span(seconds: float) -> str:
    """Print a number of seconds as ``h:mm:ss``, without what is left of the last second."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def lapse(duration: Duration) -> str:
    """Print a duration in a sentence: ``74 s``, ``12 min`` or ``5.2 h``."""
    if duration.seconds < 120:
        return f"{duration.seconds} s"
    return f"{duration.seconds / 60:.0f} min" if duration.seconds < 7200 else f"{duration.seconds / 3600:.1f} h"


def moment(timestamp: Timestamp) -> str:
    """Print a point in time to the minute, in the terminal's time zone."""
    return timestamp.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def percent(share: float) -> str:
    """Print a share in [0, 1] with two decimals."""
    return f"{100 * share:.2f} %"


def binary_size(size: int) -> str:
    """Print a number of bytes in the largest unit that leaves at least 1."""
    units = ("KiB", "MiB", "GiB", "TiB")
    if size < 1024:
        return f"{size} bytes"
    value = float(size)
    for unit in units:
        value /= 1024
        if value < 1024 or unit == units[-1]:
            break
    return f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """Print ``1 epoch`` or ``2 epochs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()) -> str:
    """Align cells in columns, two blanks apart.

    Args:
        headings: one per column.
        rows: one cell a column.
        right: headings of the columns that are aligned to the right.
    """
    lines = [list(headings), *([escape(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def fields(pairs: Iterable[tuple[str, str]], columns: int | None = None) -> str:
    """Print name and value, with the values aligned.

    Args:
        pairs: names and values.
        columns: of a terminal, to break longer lines between words; None gives each pair one line.
    """
    kept = list(pairs)
    indent = max(len(name) for name, _ in kept) + 2
    room = None if columns is None else max(columns - indent, indent)
    below = "\n" + " " * indent
    return "\n".join(name.ljust(indent) + wrap(escape(value), room).replace("\n", below) for name, value in kept)


def wrap(line: str, columns: int | None, *, indent: int = 0) -> str:
    """Break a line between words so that it fits a terminal; None leaves it alone."""
    if columns is None or len(line) <= columns:
        return line
    wrapper = textwrap.TextWrapper(
        width=max(columns, 2 * indent), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(line)
