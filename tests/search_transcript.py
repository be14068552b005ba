# SPDX-License-Identifier: Apache-2.0
"""A whole search as text: each command with its facts, one per line, so that a change of rules shows as a diff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any

from search_driver import Driver

from nas.architecture import Architecture
from nas.child import ChildId, Evaluation
from nas.notation import format_notation
from nas.search.digest import digest
from nas.transformations import Transformation, format_transformation

_HASHES = ("graph_hash", "fingerprint", "split_fingerprint", "weights_sha256")
_HASH_DIGITS = 8
_WHOSE = ("child_id", "attempt")
_NOTHING = object()


def write_transcript(driver: Driver) -> str:
    """Return everything that was said (``>``), what followed (``<``), and how it stands at the end (``=``).

    A fact shows the fields that its command does not have; its child is always shown.
    """
    lines = []
    for command, answer in driver.log:
        lines.append(f"> {_line(command)}")
        if isinstance(answer, str):
            lines.append(f"< refused: {answer}")
        elif not answer:
            lines.append("< nothing")
        else:
            lines.extend(f"< {_line(fact, command)}" for fact in answer)
    search = driver.search
    incumbent = "none" if search.incumbent is None else search.incumbent.child_id
    lines.append(f"= {search.state.name} incumbent={incumbent} facts={len(driver.facts)} digest={digest(search)}")
    return "\n".join(lines) + "\n"


def _line(record: Any, command: object = None) -> str:
    return " ".join([type(record).__name__, *_fields(record, command)])


def _fields(record: Any, command: object = None) -> Iterable[str]:
    """Name and value of each field; those that a config leaves at their default are left out."""
    for each in fields(record):
        value = getattr(record, each.name)
        is_known = each.name not in _WHOSE and value == getattr(command, each.name, _NOTHING)
        if value != _default(each) and not is_known:
            yield f"{each.name}={_text(each.name, value)}"


def _default(each: Field[Any]) -> object:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return "none"
        case ChildId():
            return str(value)
        case Enum():
            return str(value.name)
        case Architecture():
            return f"[{format_notation(value)}]"
        case Transformation():
            return f"[{format_transformation(value)}]"
        case Evaluation():
            return f"(loss={value.loss:.6g} correct={_text('', value.correct)} total={_text('', value.total)})"
        case float():
            return f"{value:.6g}"
        case str():
            return value[:_HASH_DIGITS] if name in _HASHES else f"[{value}]"
        case tuple():
            return ",".join(_text("", item) for item in value) or "none"
        case Mapping():
            raise TypeError(f"{name} is no record")
        case _ if is_dataclass(value):
            return f"({' '.join(_fields(value))})"
    return str(value)
