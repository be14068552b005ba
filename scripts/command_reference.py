# SPDX-License-Identifier: Apache-2.0
"""``docs/cli.md``: every command, option, argument, example and exit status, as the programs themselves know them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

import client.cli
import client.errors
import server.cli
import server.commands.exits

HEAD = """\
# Commands

Written by `make docs` from the commands themselves; do not edit. `--help` after any of them says the same.

Data goes to standard output, talk to standard error. Options can be set by environment variables: `NAS_SERVER`,
`NAS_STATE_DIR`, `NAS_DATA_ROOT` and so on; an option after a verb of nas-client is `NAS_<VERB>_<OPTION>`, for example
`NAS_START_BLOCK`. Settings of a search that are not given are those of the preset.

"""

ARGUMENTS = {
    "search": "id of a search, as `nas-client list` shows it",
    "search_id": "id of a search, as `nas-client list` shows it",
    "child": "id of a child, as `nas-client children SEARCH` shows it",
    "name": "of a data set, as `nas-client datasets list` shows it",
    "notation": "of a net, in quotation marks",
}
"""What stands in place of an argument, by its name."""


def render() -> str:
    """Return the document."""
    return HEAD + "\n".join(
        (
            *_program("nas-client", client.cli.cli, client.errors.EXIT_MEANINGS),
            *_program("nas-server", server.cli.cli, server.commands.exits.EXIT_MEANINGS),
        )
    )


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group, and the words that call it, in the order of the help."""
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from walk(found, f"{path} {name}")


def examples(command: click.Command) -> list[str]:
    """Return the lines that the help of a command shows as examples."""
    text = f"{inspect.cleandoc(command.help or '')}\n\n{command.epilog or ''}"
    return [line.strip() for line in text.splitlines() if re.match(r"  +nas-(client|server) ", line)]


def _program(name: str, group: click.Group, meanings: Mapping[Any, str]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{_prose(group)}\n"
    yield from _parameters(group)
    yield "| exit status | meaning |\n| --- | --- |"
    yield from (f"| {status:d} | {meaning} |" for status, meaning in meanings.items())
    yield ""
    for path, command in walk(group, name):
        yield f"### `{path}`\n"
        yield f"{_prose(command)}\n"
        yield from _parameters(command)
        yield "```\n" + "\n".join(examples(command)) + "\n```\n"


def _prose(command: click.Command) -> str:
    """What a command says of itself, without what it shows as a list."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(paragraph for paragraph in paragraphs if "\b" not in paragraph)


def _parameters(command: click.Command) -> Iterator[str]:
    rows = [_row(parameter, click.Context(command)) for parameter in command.params]
    if rows:
        yield "| option or argument | meaning |\n| --- | --- |"
        yield from rows
        yield ""


def _row(parameter: click.Parameter, context: click.Context) -> str:
    written, meaning = parameter.get_help_record(context) or (parameter.make_metavar(context), "")
    if isinstance(parameter, click.Argument):
        meaning = ARGUMENTS.get(parameter.name or "", "required")
        meaning += "" if parameter.required else "; can be left out"
    cells = (f"`{written}`", " ".join(meaning.split()))
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
