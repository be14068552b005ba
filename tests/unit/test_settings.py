# SPDX-License-Identifier: Apache-2.0
"""How a setting is declared, and what follows from the declaration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config import ImageSettings, Preset, SearchConfig, TrainingConfig, search_settings
from nas.settings import ConfigError, format_span, parse_span, require_settings, setting, settings_of


class Colour(Enum):
    """What the records below are painted with."""

    RED = "red"
    DARK_BLUE = "dark_blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """One setting of each kind."""

    size: int = setting(3, help="Size.", low=1, high=9)
    weight: float = setting(0.5, help="Weight.", low=0.0, high=1.0)
    pause_seconds: int = setting(5400, help="Pause.", low=0, high=86_400)
    frame: str = setting("oak", help="Frame.", choices=("oak", "ash"))
    depth: int = setting(0, help="Depth.", low=8, high=16, empty="all of it")
    colour: Colour | None = setting(None, help="Colour.", empty="any")
    palette: tuple[Colour, ...] = setting((Colour.RED, Colour.DARK_BLUE), help="Colours.")

    def __post_init__(self) -> None:
        require_settings(self)


SETTINGS = {each.name: each for each in settings_of(Painting)}


def test_defaults_are_written_as_people_write_them() -> None:
    """Words for members, a span for seconds, and the meaning of the empty value where it has one."""
    shown = {each.wire_name: (each.metavar, each.text_of(each.default)) for each in SETTINGS.values()}

    assert shown == {
        "size": ("N", "3"),
        "weight": ("X", "0.5"),
        "pause": ("SPAN", "90m"),
        "frame": ("[oak|ash]", "oak"),
        "depth": ("N", "all of it"),
        "colour": ("[red|dark-blue]", "any"),
        "palette": ("NAMES", "red,dark-blue"),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 0}, "size must lie between 1 and 9, not 0"),
        ({"weight": float("nan")}, "weight must lie between 0.0 and 1.0, not nan"),
        ({"pause_seconds": -1}, "pause_seconds must lie between 0 and 86400, not -1"),
        ({"frame": "elm"}, "frame must be one of oak, ash, not 'elm'"),
        ({"frame": ""}, "frame is missing"),
        ({"depth": 7}, "depth must lie between 8 and 16, not 7"),
        ({"palette": ()}, "palette is missing"),
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_one_sentence(changes: dict[str, object], sentence: str) -> None:
    """It begins with the name of the setting and says what is allowed."""
    with pytest.raises(ConfigError) as caught:
        Painting(**changes)  # type: ignore[arg-type]

    assert sentence == str(caught.value)


def test_an_empty_value_with_a_meaning_is_allowed() -> None:
    """Although it lies outside the range."""
    assert 0 == Painting(depth=0).depth
    assert Painting(colour=None).colour is None


@pytest.mark.parametrize("text", ["dark-blue,red", "dark_blue, red", " dark-blue ,red "])
def test_members_are_read_with_commas_between(text: str) -> None:
    """In their order, with hyphens or underscores, and written with hyphens."""
    palette = SETTINGS["palette"]

    assert (Colour.DARK_BLUE, Colour.RED) == palette.read_members(text)
    assert "dark-blue,red" == palette.format_members(palette.read_members(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "palette is empty; give some of red, dark-blue"),
        (" ", "palette is empty; give some of red, dark-blue"),
        ("red,", "palette must be some of red, dark-blue, not ''"),
        ("green", "palette must be some of red, dark-blue, not 'green'"),
        ("red;dark-blue", "palette must be some of red, dark-blue, not 'red;dark-blue'"),
        ("dark-blue,dark_blue", "palette names dark_blue twice"),
    ],
)
def test_members_that_mean_nothing(text: str, sentence: str) -> None:
    """One sentence says what is wrong and what there is."""
    with pytest.raises(ConfigError) as caught:
        SETTINGS["palette"].read_members(text)

    assert sentence == str(caught.value)


@pytest.mark.parametrize("annotation", ["list[int]", "bytes", "dict[str, int]", "tuple[int, int]", "int | str"])
def test_a_setting_of_an_unknown_type_is_an_error(annotation: str) -> None:
    """It could not be written on the wire, so it does not get that far."""
    namespace = {"__annotations__": {"odd": annotation}, "odd": setting(None, help="Odd.")}
    record: type = dataclass(frozen=True)(type("Record", (), namespace))

    with pytest.raises(TypeError, match="odd"):
        settings_of(record)


@given(seconds=st.integers(0, 10**9))
def test_a_span_is_read_as_it_is_written(seconds: int) -> None:
    """In whatever unit."""
    assert seconds == parse_span(format_span(seconds))


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-1", "1w", "12 h", "١h", "1h\n"])
def test_no_span(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is no time span"):
        parse_span(text)


def test_every_setting_of_a_search_is_listed_once() -> None:
    """By a name and a sentence of its own."""
    names = [each.name for each in search_settings()]

    assert len(names) == len(set(names))
    assert set(names) == {each.name for record in (SearchConfig, TrainingConfig) for each in settings_of(record)}
    assert {each.name for each in settings_of(ImageSettings)} <= set(names)
    assert all(each.declaration.help.endswith(".") for each in search_settings())
    assert Preset.PAPER in Preset
