# SPDX-License-Identifier: Apache-2.0
"""Entry point of nas-server."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import TextIO

# gRPC's core would write lines of its own among those of the log; its errors reach us through the calls.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

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


def main() -> None:
    """Run nas-server; usage errors end with 64."""
    try:
        cli.main(prog_name="nas-server", standalone_mode=False)
    except click.UsageError as error:
        with contextlib.suppress(OSError):
            error.show()
        sys.exit(64)
    except click.Abort:
        sys.exit(130)
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _let_go(stream: TextIO | None) -> None:
    """Leave Python nothing to write on its way out: where that fails, on a full disk, it ends with 120."""
    if stream is None:  # closed before the start
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
