# SPDX-License-Identifier: Apache-2.0
"""The command group of nas-server, which loads the module of a verb when the verb is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

from server.commands.exits import EXIT_MEANINGS

_VERBS = {
    "serve": "server.commands.serve",
    "run": "server.commands.run",
    "token": "server.commands.token",
    "digest": "server.commands.digest",
    "doctor": "server.commands.doctor",
}


class _LazyGroup(click.Group):
    """Imports only the verb that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _VERBS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), cmd_name)
        return command


_STATUSES = "\n".join(f"  {status:<4} {meaning}" for status, meaning in EXIT_MEANINGS.items()).replace("`", "")


@click.group(cls=_LazyGroup, epilog=f"\b\nExit status:\n{_STATUSES}", context_settings={"max_content_width": 100})
@click.version_option(version("seib-nas"), prog_name="nas-server")
def cli() -> None:
    """The server of seib-nas: owns searches and the workers that train their children."""
