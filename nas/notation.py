# SPDX-License-Identifier: Apache-2.0
"""The paper's text form of an architecture (section IV.C): parse it and print it, such that parse(format(a)) == a.

``C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)`` is the canonical form; when read, layers may also be
separated by ``;`` and blanks may stand around names, brackets and numbers, as in the paper. Options of a layer follow
its numbers, ``C(8,3,same,bn)`` or ``SEIB(4,4,8,2,4,4,bn,ratio=8)``, and may be read in any order (docs/adr/0016).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from nas.architecture import LAYER_KINDS, Architecture, ArchitectureError
from nas.layers import Layer, number_names, option_defaults

MAX_CHARACTERS = 65_536
MAX_LAYERS = 1_000
MAX_NUMBER = 2**31 - 1

_KINDS: dict[str, type[Layer]] = {kind.name: kind for kind in LAYER_KINDS}

_BLANKS = re.compile(r"[ \t\r\n]*")
_SEPARATORS = re.compile(r"[ \t\r\n;]*")
_WORD = re.compile(r"[A-Za-z0-9_]+")


class NotationError(ValueError):
    """A text is no architecture; ``position`` is the character where it goes wrong, counted from 1."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"character {position}: {reason}")
        self.position = position
        self.reason = reason


def format_notation(architecture: Architecture) -> str:
    """Print the canonical form: one space between layers, none inside."""
    return " ".join(format_layer(layer) for layer in architecture.layers)


def format_layer(layer: Layer) -> str:
    """Print one layer, for example ``C(64,3)``."""
    return f"{layer.name}({','.join([*map(str, layer.numbers), *_format_options(layer)])})"


def _format_options(layer: Layer) -> Iterator[str]:
    for name, default in option_defaults(type(layer)).items():
        value = getattr(layer, name)
        if value != default:
            yield name if value is True else f"{name}={value}"


def parse_notation(text: str) -> Architecture:
    """Read an architecture; names are exact in case.

    Raises:
        NotationError: the text is no architecture, or longer than ``MAX_CHARACTERS`` or ``MAX_LAYERS``.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotationError(MAX_CHARACTERS + 1, f"a notation has at most {MAX_CHARACTERS} characters, not {len(text)}")
    scanner = _Scanner(text)
    layers: list[Layer] = []
    starts: list[int] = []
    scanner.skip(_SEPARATORS)
    while not scanner.at_end:
        starts.append(scanner.position)
        if len(starts) > MAX_LAYERS:
            raise NotationError(scanner.position, f"a net has at most {MAX_LAYERS} layers")
        layers.append(_parse_layer(scanner))
        if not scanner.skip(_SEPARATORS) and not scanner.at_end:
            raise NotationError(scanner.position, f"expected a blank or ';' between layers, not {scanner.ahead}")
    try:
        return Architecture(tuple(layers))
    except ArchitectureError as error:
        position = starts[error.position - 1] if starts else 1
        raise NotationError(position, error.reason) from error


class _Scanner:
    """Walks over a text; ``position`` is that of the next character, counted from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0

    @property
    def position(self) -> int:
        return self._offset + 1

    @property
    def at_end(self) -> bool:
        return self._offset == len(self._text)

    @property
    def ahead(self) -> str:
        """What stands at the position, for a message."""
        if self.at_end:
            return "the end"
        word = _WORD.match(self._text, self._offset)
        return ascii(_shorten(word[0] if word else self._text[self._offset]))

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Pass over a match of ``pattern`` and return it; an empty string if there is none."""
        match = pattern.match(self._text, self._offset)
        if match is None:
            return ""
        self._offset = match.end()
        return match[0]

    def accept(self, character: str) -> bool:
        """Pass over blanks and then, if it comes next, over ``character``."""
        self.skip(_BLANKS)
        if not self._text.startswith(character, self._offset):
            return False
        self._offset += 1
        return True


def _parse_layer(scanner: _Scanner) -> Layer:
    start, ahead = scanner.position, scanner.ahead
    name = scanner.skip(_WORD)
    if name not in _KINDS:
        raise NotationError(start, f"expected a layer, one of {', '.join(_KINDS)}, not {ahead}")
    kind = _KINDS[name]
    if not scanner.accept("("):
        raise NotationError(scanner.position, f"expected '(' after {name}, not {scanner.ahead}")
    numbers: dict[str, int] = {}
    for index, field in enumerate(number_names(kind)):
        if index and not scanner.accept(","):
            raise NotationError(scanner.position, f"expected ',' and the {field} of {name}, not {scanner.ahead}")
        scanner.skip(_BLANKS)
        numbers[field] = _parse_number(scanner, f"the {field} of {name}")
    options = _parse_options(scanner, kind)
    if not scanner.accept(")"):
        raise NotationError(scanner.position, f"expected ')' to close {name}, not {scanner.ahead}")
    build: Callable[..., Layer] = kind
    try:
        return build(**numbers, **options)
    except ValueError as error:
        raise NotationError(start, f"{name}: {error}") from error


def _parse_options(scanner: _Scanner, kind: type[Layer]) -> dict[str, bool | int]:
    """Read what follows the numbers of a layer: names of options, each after a comma."""
    defaults = option_defaults(kind)
    options: dict[str, bool | int] = {}
    while defaults and scanner.accept(","):
        scanner.skip(_BLANKS)
        start, ahead = scanner.position, scanner.ahead
        option = scanner.skip(_WORD)
        if option not in defaults:
            raise NotationError(start, f"expected an option of {kind.name}, one of {', '.join(defaults)}, not {ahead}")
        if option in options:
            raise NotationError(start, f"the option {option} of {kind.name} is given twice")
        options[option] = True if defaults[option] is False else _parse_value(scanner, f"the {option} of {kind.name}")
    return options


def _parse_value(scanner: _Scanner, what: str) -> int:
    if not scanner.accept("="):
        raise NotationError(scanner.position, f"expected '=' and {what}, not {scanner.ahead}")
    scanner.skip(_BLANKS)
    return _parse_number(scanner, what)


def _parse_number(scanner: _Scanner, what: str) -> int:
    start, ahead = scanner.position, scanner.ahead
    word = scanner.skip(_WORD)
    if not re.fullmatch("[0-9]+", word):
        raise NotationError(start, f"expected a whole number for {what}, not {ahead}")
    digits = word.lstrip("0")
    # The length is compared first: turning thousands of digits into a number is slow.
    if not digits or len(digits) > len(str(MAX_NUMBER)) or int(digits) > MAX_NUMBER:
        raise NotationError(start, f"{what} must lie between 1 and {MAX_NUMBER}, not {_shorten(word)}")
    return int(digits)


def _shorten(text: str) -> str:
    return text if len(text) <= 20 else text[:17] + "..."
