# SPDX-License-Identifier: Apache-2.0
"""``config show``: what holds, and where it comes from."""

from __future__ import annotations

import click
from click.core import ParameterSource

from client.output import write, write_document
from client.settings import Output, Settings, output_option
from client.text import table

_EPILOG = """\b
Examples:
  nas-client config show
  nas-client config show --output json
"""
_ORIGINS = {
    ParameterSource.COMMANDLINE: "option",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT: "default",
}


@click.group("config")
def command() -> None:
    """Show the client's settings."""


@command.command("show", epilog=_EPILOG)
@output_option
@click.pass_obj
@click.pass_context
def show(context: click.Context, settings: Settings) -> None:
    """Show each setting with its value and where it comes from."""
    root = context.find_root()
    rows = [
        (name, str(value), _origin(root, name), f"NAS_{name.upper()}") for name, value in sorted(root.params.items())
    ]
    if settings.output is Output.TEXT:
        write(table(("SETTING", "VALUE", "FROM", "VARIABLE"), rows))
    else:
        document = {name: {"value": value, "from": origin} for name, value, origin, _ in rows}
        write_document(document, is_compact=settings.output is Output.JSONL)


def _origin(context: click.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return _ORIGINS.get(source, "default") if source is not None else "default"
