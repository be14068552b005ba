# SPDX-License-Identifier: Apache-2.0
"""The children as a table: which columns there is room for, and what stands in them.

Columns have fixed widths, so that nothing jumps when a number changes; those that matter least go first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.text import Text

from client.live.state import ChildRow, LiveState
from client.phrases import finishing_length
from client.text import percent, word
from nas.api.v1 import search_pb2
from nas.recipe import planned_epochs
from nas.text import escape

WIDE = 100
"""From this many columns on, cells stand two blanks apart and bars are longer."""
TALL = 32
"""From this many lines on, eight children have a second line each, which their notation has to itself."""
LEAST_NOTATION = 20
"""A notation cut shorter than this says nothing."""
_CHILD = 5

STATE_STYLES: dict[int, str] = {
    search_pb2.Child.STATE_PROPOSED: "dim",
    search_pb2.Child.STATE_RUNNING: "cyan",
    search_pb2.Child.STATE_SUCCEEDED: "green",
    search_pb2.Child.STATE_FAILED: "red",
    search_pb2.Child.STATE_CANCELLED: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        width: in character cells.
        cell: what stands in it.
        is_right: whether it is aligned to the right, heading included.
    """

    heading: str
    width: int
    cell: Callable[[ChildRow], Text]
    is_right: bool = False


def child_lines(state: LiveState, width: int, *, is_tall: bool) -> list[Text]:
    """Print the children of the current iteration or of the finishing stage.

    Args:
        state: of the search.
        width: of the terminal; no line is wider.
        is_tall: whether each notation gets a line of its own.

    Returns:
        The headings, then one or two lines per child.
    """
    columns = choose_columns(state, width, has_notation=not is_tall)
    gap = _gap(width)
    headings = _line((fit(Text(column.heading), column.width, column.is_right) for column in columns), gap, width)
    headings.stylize("bold")
    lines = [headings]
    for row in state.children:
        lines.append(_line((fit(column.cell(row), column.width, column.is_right) for column in columns), gap, width))
        if is_tall:
            lines.append(_line([Text(" " * (_CHILD + gap) + escape(row.notation), "dim")], gap, width))
    return lines


def choose_columns(state: LiveState, width: int, *, has_notation: bool) -> list[Column]:
    """Return the columns that there is room for, in the order of the screen."""
    every = _columns(state, is_wide=width >= WIDE)
    kept = [heading for heading in _KEPT_LONGEST if heading in every]
    room = width
    chosen = set()
    for heading in kept:
        column = every[heading]
        if column.width > room:
            break
        room -= column.width + _gap(width)
        chosen.add(heading)
    columns = [column for heading, column in every.items() if heading in chosen]
    if has_notation and len(chosen) == len(kept) and room >= LEAST_NOTATION:
        columns.append(Column(heading="NOTATION", width=room, cell=lambda row: Text(escape(row.notation))))
    return columns


def bar(done: int, limit: int, cells: int) -> Text:
    """Draw how many epochs of how many are done: ``███░░ 3/5``."""
    if limit < 1:
        return Text(str(done))
    filled = min(cells, cells * done // limit)
    digits = len(str(limit))
    return Text.assemble(("█" * filled, "cyan"), ("░" * (cells - filled), "dim"), f" {done:>{digits}}/{limit}")


def fit(text: Text, width: int, is_right: bool = False) -> Text:
    """Cut or pad a text to exactly ``width`` cells."""
    text.truncate(width, overflow="ellipsis")
    blanks = width - text.cell_len
    if is_right:
        text.pad_left(blanks)
    else:
        text.pad_right(blanks)
    return text


_KEPT_LONGEST = (
    *("CHILD", "STATE", "EPOCHS", "ACCURACY", "TRANSFORMATION", "PARAMETERS", "LOSS"),
    *("BALANCED", "FROM", "ATTEMPT", "DEVICE", "IMAGES/S"),
)
"""In a narrow terminal the last of these go first; the notation goes before them."""


def _columns(state: LiveState, *, is_wide: bool) -> dict[str, Column]:
    """Every column but the notation, in the order of the screen."""
    limit = _planned_epochs(state)
    is_balanced = state.config.selection_metric == search_pb2.SELECTION_METRIC_BALANCED_ACCURACY
    cells = 10 if is_wide else 5
    columns = (
        Column(heading="CHILD", width=_CHILD, cell=lambda row: Text(escape(row.child_id))),
        Column(heading="TRANSFORMATION", width=23, cell=lambda row: Text(escape(row.origin))),
        Column(heading="FROM", width=5, cell=lambda row: Text(escape(row.parent_id or "-"))),
        Column(heading="PARAMETERS", width=10, cell=lambda row: Text(str(row.param_count)), is_right=True),
        Column(heading="STATE", width=9, cell=_state),
        Column(heading="EPOCHS", width=cells + 2 * len(str(limit)) + 2, cell=lambda row: bar(row.epochs, limit, cells)),
        Column(heading="LOSS", width=7, cell=_loss, is_right=True),
        Column(heading="ACCURACY", width=8, cell=_accuracy, is_right=True),
        Column(heading="BALANCED", width=8, cell=_balanced_accuracy, is_right=True),
        Column(heading="IMAGES/S", width=8, cell=_speed, is_right=True),
        Column(heading="ATTEMPT", width=7, cell=lambda row: Text(str(row.attempt or "-")), is_right=True),
        Column(heading="DEVICE", width=9, cell=lambda row: Text(row.device or "-")),
    )
    return {column.heading: column for column in columns if column.heading != "BALANCED" or is_balanced}


def _planned_epochs(state: LiveState) -> int:
    if state.is_finishing:
        return finishing_length(state.config, state.train_images)
    return planned_epochs(state.config.training, state.train_images)


def _gap(width: int) -> int:
    return 2 if width >= WIDE else 1


def _line(cells: Iterable[Text], gap: int, width: int) -> Text:
    line = Text(" " * gap).join(cells)
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def _state(row: ChildRow) -> Text:
    return Text(word(search_pb2.Child.State, row.state), style=STATE_STYLES.get(row.state, ""))


def _loss(row: ChildRow) -> Text:
    if row.evaluation is None:
        return Text("-")
    return Text(f"{row.evaluation.loss:.4f}" if row.evaluation.loss < 100 else f"{row.evaluation.loss:.1e}")


def _accuracy(row: ChildRow) -> Text:
    return Text("-" if row.evaluation is None else percent(row.evaluation.accuracy))


def _balanced_accuracy(row: ChildRow) -> Text:
    return Text("-" if row.evaluation is None else percent(row.evaluation.balanced_accuracy))


def _speed(row: ChildRow) -> Text:
    return Text(f"{row.images_per_second:.0f}" if row.images_per_second else "-")
