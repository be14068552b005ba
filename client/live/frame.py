# SPDX-License-Identifier: Apache-2.0
"""The picture of a search: a function of its state, the size of the terminal and the time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich.console import Group
from rich.text import Text

from client.live.columns import TALL, WIDE, child_lines
from client.live.state import ChildRow, LiveState
from client.phrases import describe_state, short_dataset
from client.text import percent, span
from nas.api.v1 import search_pb2
from nas.text import escape

_LABEL = 11
"""Width of a label in front of a line."""
_NOTE_INDENT = 9
"""Width of the running time in front of a note."""
_ENDED = (search_pb2.Child.STATE_SUCCEEDED, search_pb2.Child.STATE_FAILED, search_pb2.Child.STATE_CANCELLED)
_STATE_STYLES: dict[int, str] = {
    search_pb2.Search.STATE_RUNNING: "cyan",
    search_pb2.Search.STATE_PAUSING: "yellow",
    search_pb2.Search.STATE_PAUSED: "yellow",
    search_pb2.Search.STATE_CANCELLING: "yellow",
    search_pb2.Search.STATE_SUCCEEDED: "green",
    search_pb2.Search.STATE_FAILED: "red",
    search_pb2.Search.STATE_CANCELLED: "yellow",
}


def render(state: LiveState, width: int, height: int, *, now: float, hint: str = "") -> Group:
    """Draw a search.

    Args:
        state: of the search.
        width: of the terminal; no line is wider.
        height: of the terminal; there are no more lines.
        now: this machine's clock.
        hint: what can be done; the last line, if there is room.

    Returns:
        One text a line.
    """
    lines = list(_header(state, width, now))
    table = child_lines(state, width, is_tall=height >= TALL)
    room = height - len(lines) - 1
    if len(table) > max(room, 2):
        hidden = len(table) - room + 1
        table = [*table[: room - 1], _cut(Text(f"{hidden} more; a taller terminal shows them", "dim"), width)]
    lines += [Text(), *table, Text()]
    findings = list(_findings(state, width, is_whole=True))
    is_tight = len(lines) + len(findings) + 2 * bool(hint) + 3 * bool(state.notes) > height
    lines += list(_findings(state, width, is_whole=False)) if is_tight else findings
    notes = _notes(state, width, height - len(lines) - 1 - bool(hint))
    if notes:
        lines += [Text(), *notes]
    if hint and len(lines) < height:
        lines += [Text()] * (height - len(lines) - 1) + [_cut(Text(hint, "dim"), width)]
    return Group(*lines[:height])


def _header(state: LiveState, width: int, now: float) -> Iterator[Text]:
    left = Text.assemble("Search ", (escape(state.search_id), "bold"))
    if state.sequence:
        left.append("  ").append_text(_search_state(state, now))
        left.append(f"  {state.block} on {escape(short_dataset(state.config.dataset))}")
    yield from _spread(left, Text(_stage(state)), width)
    yield from _spread(Text(_clocks(state, now)), Text(_work(state)), width)


def _search_state(state: LiveState, now: float) -> Text:
    if state.lost_since is not None:
        return Text(f"connection lost {span(now - state.lost_since)} ago", "bold red")
    name = describe_state(state.state, state.pause_reason)
    testing = f", testing {escape(state.testing_id)}" if state.testing_id else ""
    style = "yellow" if state.pause_reason else _STATE_STYLES.get(state.state, "")
    return Text(name + testing, f"bold {style}".strip())


def _stage(state: LiveState) -> str:
    if state.is_finishing:
        return f"finishing {', '.join(escape(row.child_id) for row in state.children)}"
    limit = state.config.max_iterations
    return f"iteration {state.iteration} of {limit}" if limit else f"iteration {state.iteration}"


def _clocks(state: LiveState, now: float) -> str:
    elapsed = state.elapsed_seconds(now)
    if not state.budget_seconds:
        return f"{span(elapsed)} elapsed, no time budget"
    left = max(0.0, state.budget_seconds - elapsed)
    return f"{span(elapsed)} elapsed, {span(left)} of {span(state.budget_seconds)} left"


def _work(state: LiveState) -> str:
    """How far the iteration or stage is, and how fast the running children get on together."""
    ended = sum(row.state in _ENDED for row in state.children)
    running = [row.images_per_second for row in state.children if row.state == search_pb2.Child.STATE_RUNNING]
    speed = f", {sum(running):.0f} images/s" if sum(running) else ""
    return f"{ended}/{len(state.children)} children done{speed}"


def _findings(state: LiveState, width: int, *, is_whole: bool) -> Iterator[Text]:
    best = "none before the first selection" if state.incumbent is None else _incumbent(state, state.incumbent)
    incumbent = list(_wrapped(escape(best), width - _LABEL, indent=2))
    if len(incumbent) > 1 and not is_whole:
        incumbent = [Text(escape(best))]
    yield from _labelled("incumbent", incumbent, width)
    if not state.selected_iteration:
        return
    yield from _labelled("selection", [Text(f"iteration {state.selected_iteration} selected")], width)
    for choice in state.choices or ("no child",):
        yield from _labelled("", _wrapped(choice, width - _LABEL, indent=2), width)


def _incumbent(state: LiveState, row: ChildRow) -> str:
    """Figures first: what does not fit is cut at the end."""
    figures = [percent(row.evaluation.accuracy)] if row.evaluation is not None else []
    if state.test_evaluation is not None:
        figures.append(f"test {percent(state.test_evaluation.accuracy)}")
    figures.append(f"{row.param_count} parameters")
    return f"{row.child_id} ({', '.join(figures)}) {row.origin} of {row.parent_id}: {row.notation}"


def _notes(state: LiveState, width: int, room: int) -> list[Text]:
    """The latest notes, oldest first; one that does not fit whole is cut to a line."""
    lines: list[Text] = []
    for note in reversed(state.notes):
        if len(lines) >= room:
            break
        whole = list(_wrapped(note, width, indent=_NOTE_INDENT))
        lines = [*(whole if len(lines) + len(whole) <= room else [_cut(Text(note), width)]), *lines]
    return lines


def _labelled(label: str, lines: Iterable[Text], width: int) -> Iterator[Text]:
    """Put a label in front of the first line and as much room in front of the others."""
    for line in lines:
        yield _cut(Text.assemble((f"{label:{_LABEL}}", "bold"), line), width)
        label = ""


def _spread(left: Text, right: Text, width: int) -> Iterator[Text]:
    """Put two texts at the ends of a line, or on two lines if it is too short."""
    blanks = width - left.cell_len - right.cell_len
    if blanks < 2:
        yield _cut(left, width)
        yield _cut(right, width)
    elif width < WIDE:
        yield left.append(" " * blanks).append_text(right)
    else:
        yield left.append("   ").append_text(right)


def _wrapped(text: str, width: int, *, indent: int) -> Iterator[Text]:
    """Break a sentence into at most two lines; only what does not fit these is cut."""
    for line in textwrap.wrap(
        text, max(width, 2 * indent), max_lines=2, placeholder="…", subsequent_indent=" " * indent
    ):
        yield _cut(Text(line), max(width, 0))


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.no_wrap = True
    return text
