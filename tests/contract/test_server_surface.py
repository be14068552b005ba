# SPDX-License-Identifier: Apache-2.0
"""The commands of nas-server: which there are, that each teaches by example, and what its exit codes mean."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from client.commands.start import command as start
from nas.config import search_settings
from nas.presets import describe_setting
from server.cli import cli
from server.commands.exits import EXIT_MEANINGS, Exit

VERBS = {
    name: command
    for name in cli.list_commands(click.Context(cli))
    if (command := cli.get_command(click.Context(cli), name))
}


def _examples(verb: str) -> list[str]:
    return [line for line in (VERBS[verb].help or "").splitlines() if line.strip().startswith("nas-server ")]


def test_verbs() -> None:
    """Nothing is added, renamed or taken away unnoticed."""
    assert ["serve", "run", "token", "digest", "doctor"] == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_two_examples(verb: str) -> None:
    """Each explains itself and its options and shows two ways to use it."""
    undescribed = [p.name for p in VERBS[verb].params if isinstance(p, click.Option) and not p.help]

    assert 2 == len(_examples(verb))
    assert not undescribed


@pytest.mark.parametrize("verb", VERBS)
def test_examples_are_accepted(verb: str) -> None:
    """The words of every example are understood by the verb that shows it."""
    for line in _examples(verb):
        program, name, *words = shlex.split(line)
        assert ("nas-server", verb) == (program, name)
        assert verb == VERBS[verb].make_context(verb, words).info_name


def test_every_exit_code_has_a_meaning() -> None:
    """Help and documentation say all of them."""
    assert list(Exit) == list(EXIT_MEANINGS)


def _options(command: click.Command) -> dict[str, Any]:
    return {parameter.opts[0]: parameter for parameter in command.params if isinstance(parameter, click.Option)}


def test_a_search_is_described_as_to_the_client() -> None:
    """Whatever ``nas-client start`` says about a search can be said to ``run``, with the same choices."""
    only_watching = {"--detach", "--reconnect", "--plain", "--output"}
    ours, theirs = _options(VERBS["run"]), _options(start)

    assert theirs.keys() - only_watching <= ours.keys()
    for name in theirs.keys() - only_watching:
        if isinstance(ours[name].type, click.Choice):
            assert list(theirs[name].type.choices) == list(ours[name].type.choices)


@pytest.mark.parametrize("command", [start, VERBS["run"]], ids=["start", "run"])
def test_every_setting_says_its_default(command: click.Command) -> None:
    """Help shows the default; only data set and block have none."""
    options = _options(command)
    described = {setting.name: (setting.wire_name, describe_setting(setting)) for setting in search_settings()}
    shown = {
        name: "[default: " in help
        for name, (wire_name, help) in described.items()
        if (option := options.get(f"--{wire_name.replace('_', '-')}")) and option.help == help
    }

    assert {"dataset", "block"} == {name for name, is_shown in shown.items() if not is_shown}
    assert len(shown) >= 30


def test_the_server_is_described_as_to_serve() -> None:
    """Whatever ``serve`` takes, ``run`` takes as well, but for what only ``nas-client --local`` needs."""
    assert _options(VERBS["serve"]).keys() - {"--idle-timeout", "--any-path"} <= _options(VERBS["run"]).keys()
