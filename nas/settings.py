# SPDX-License-Identifier: Apache-2.0
"""How a setting is declared: once, with everything that checks, commands, documents and the wire have to know of it.

``nas.config`` holds the declarations. Range checks, options and help of both programs, the form in documents and the
messages on the wire all follow from them.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

REQUIRED: Any = MISSING
"""In place of a default: the setting has to be given."""

_KEY = "declaration"
_SPAN_SUFFIX = "_seconds"
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_PLAIN_KINDS = (int, float, str)


class ConfigError(ValueError):
    """A setting out of its range; ``field`` names it."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name} {reason}")
        self.field = field_name
        self.reason = reason


class Option(Enum):
    """Which programs have a command-line option for a setting. The API and configuration files take every setting."""

    BOTH = "nas-client and nas-server run"
    SERVER = "nas-server run"
    NONE = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is said about a setting beside its name, type and default.

    Attributes:
        help: one sentence for ``--help``; the default is added to it.
        low, high: the range of a number, both ends included.
        choices: the only texts that are allowed.
        check: raises ValueError for a text that is not allowed; its message goes on after the name of the setting.
        empty: what 0, an empty text or None means, as ``[default: ...]`` shows it; such a value is then allowed.
        empty_word: how an empty text is asked for where a preset has another value: the wire takes an empty one for not
            given.
        metavar: what help writes for the value; None means the usual word for the type.
        option: which programs have an option for it.
    """

    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    check: Callable[[str], object] | None
    empty: str | None
    empty_word: str | None
    metavar: str | None
    option: Option


def setting(
    default: T,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[str], object] | None = None,
    empty: str | None = None,
    empty_word: str | None = None,
    metavar: str | None = None,
    option: Option = Option.BOTH,
) -> T:
    """Declare a field of a frozen record as a setting; ``Declaration`` describes the arguments."""
    declaration = Declaration(
        help=help,
        low=low,
        high=high,
        choices=choices,
        check=check,
        empty=empty,
        empty_word=empty_word,
        metavar=metavar,
        option=option,
    )
    return field(default=default, metadata={_KEY: declaration})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A declared setting.

    Attributes:
        name: of the field in the record.
        kind: int, float, str or an Enum; for a tuple, the kind of its members.
        is_tuple: whether the value is a tuple.
        default: ``REQUIRED`` if there is none.
    """

    name: str
    kind: type[Any]
    is_tuple: bool
    default: Any
    declaration: Declaration

    @property
    def is_span(self) -> bool:
        """Whether the value is a number of seconds, which people write as ``12h`` and the wire as a Duration."""
        return self.name.endswith(_SPAN_SUFFIX)

    @property
    def wire_name(self) -> str:
        """The name on the wire, in documents and, with hyphens, of the option: without ``_seconds``."""
        return self.name.removesuffix(_SPAN_SUFFIX)

    @property
    def words(self) -> dict[str, Any]:
        """The members of an enum by the word that people write: the member's value, with hyphens."""
        if not issubclass(self.kind, Enum):
            return {}
        return {str(member.value).replace("_", "-"): member for member in self.kind}

    def read_member(self, text: str) -> Any:
        """Return the member of an enum that a word means, with hyphens or underscores; None if it means none."""
        return self.words.get(text.replace("_", "-"))

    def read_members(self, text: str) -> tuple[Any, ...]:
        """Read a tuple of members, written with commas between their words.

        Raises:
            ConfigError: there is none, one is unknown, or one stands there twice.
        """
        found: list[Any] = []
        for word in self.split_members(text):
            member = self.read_member(word)
            if member is None:
                raise ConfigError(self.wire_name, f"must be some of {', '.join(self.words)}, not {word[:40]!r}")
            if member in found:
                raise ConfigError(self.wire_name, f"names {word} twice")
            found.append(member)
        return tuple(found)

    def split_members(self, text: str) -> list[str]:
        """Take apart what is written with commas between.

        Raises:
            ConfigError: nothing is written.
        """
        if not text.strip():
            raise ConfigError(self.wire_name, f"is empty; give some of {', '.join(self.words)}")
        return [part.strip() for part in text.split(",")]

    def format_members(self, members: tuple[Any, ...]) -> str:
        """Write members as ``read_members`` reads them."""
        return ",".join(next((w for w, known in self.words.items() if known is each), f"{each}") for each in members)

    @property
    def metavar(self) -> str:
        """What help writes for the value."""
        declared = self.declaration
        if declared.metavar is not None:
            return declared.metavar
        if self.is_tuple:
            return "NAMES"
        choices = declared.choices or tuple(self.words)
        if choices:
            return f"[{'|'.join(choices)}]"
        return "SPAN" if self.is_span else {int: "N", float: "X"}.get(self.kind, "TEXT")

    def text_of(self, value: Any) -> str:
        """Return a value as people write it; an empty text for ``REQUIRED``."""
        if value is REQUIRED:
            return ""
        if self.declaration.empty is not None and not value:
            return self.declaration.empty
        if self.is_span:
            return format_span(value)
        return self.format_members(value if self.is_tuple else (value,))

    def require(self, value: Any) -> None:
        """Check a value against the declaration.

        Raises:
            ConfigError: it is out of its range.
        """
        declared = self.declaration
        if not value and declared.empty is not None:
            return
        if value in ("", ()):
            raise ConfigError(self.name, "is missing")
        low, high = declared.low, declared.high
        if low is not None and high is not None and not low <= value <= high:  # false for NaN, too
            raise ConfigError(self.name, f"must lie between {low} and {high}, not {value}")
        if declared.choices and value not in declared.choices:
            raise ConfigError(self.name, f"must be one of {', '.join(declared.choices)}, not {value[:40]!r}")
        if declared.check is not None:
            try:
                declared.check(value)
            except ValueError as error:
                raise ConfigError(self.name, str(error)) from error


def settings_of(record: type[Any]) -> tuple[Setting, ...]:
    """Return the declared settings of a record class, in their order.

    Raises:
        TypeError: the type of one is none that settings can have.
    """
    return _settings_of(record)  # type: ignore[arg-type]  # mypy does not see that classes are hashable


def require_settings(record: Any) -> None:
    """Check every setting of a record.

    Raises:
        ConfigError: one is out of its range.
    """
    for each in settings_of(type(record)):
        each.require(getattr(record, each.name))


def parse_span(text: str) -> int:
    """Read a time span in seconds: ``90s``, ``30m``, ``12h``, ``2d`` or a number; ``none`` is 0.

    Raises:
        ValueError: it is something else.
    """
    match = re.fullmatch(r"([0-9]{1,12})([smhd]?)", "0" if text == "none" else text, flags=re.ASCII)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no time span")
    return int(match[1]) * _UNITS.get(match[2], 1)


def format_span(seconds: int) -> str:
    """Write a number of seconds as ``parse_span`` reads it, in the largest unit that divides it."""
    if seconds == 0:
        return "none"
    return next(f"{seconds // size}{unit}" for unit, size in _UNITS.items() if seconds % size == 0)


@cache
def _settings_of(record: Any) -> tuple[Setting, ...]:
    kinds = get_type_hints(record)
    return tuple(
        _resolve(f.name, kinds[f.name], f.default, f.metadata[_KEY]) for f in fields(record) if _KEY in f.metadata
    )


def _resolve(name: str, annotation: Any, default: Any, declaration: Declaration) -> Setting:
    origin, arguments = get_origin(annotation), get_args(annotation)
    kind, is_tuple = annotation, False
    if origin in (Union, types.UnionType) and arguments[1:] == (type(None),):
        kind = arguments[0]
    elif origin is tuple and arguments[1:] == (Ellipsis,):
        kind, is_tuple = arguments[0], True
    if kind not in _PLAIN_KINDS and not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise TypeError(f"{name}: no setting can be of the type {annotation}")
    return Setting(name=name, kind=kind, is_tuple=is_tuple, default=default, declaration=declaration)
