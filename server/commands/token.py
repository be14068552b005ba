# SPDX-License-Identifier: Apache-2.0
"""nas-server token."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import click

from server.commands.exits import Exit, exit_codes, leave
from server.tokens import Role, is_name, read_tokens

_BYTES = 32


@click.command()
@click.argument("name")
@click.option("--token-file", type=Path, required=True, help="File of the server; it is made if there is none.")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.READ.value, help="[default: read]"
)
def token(name: str, token_file: Path, role: str) -> None:
    """Make a token for NAME and print it; the server's file gets its hash only.

    A server that runs takes it up within a second. To revoke it, delete its line.

    \b
    Examples:
      nas-server token ann --role write --token-file /etc/nas/tokens
      nas-server token grafana --token-file /etc/nas/tokens
    """
    with exit_codes():
        if not is_name(name):
            leave(Exit.USAGE, f"{name[:80]!r} is no name: up to 63 small letters, digits and _ . @ -")
        known = read_tokens(token_file) if token_file.exists() and token_file.stat().st_size else ()
        if name in {caller.name for _, caller in known}:
            leave(Exit.CONFIG, f"{token_file} has a token for {name} already; delete its line to replace it")
        made = secrets.token_urlsafe(_BYTES)
        line = f"{name} {role} {hashlib.sha256(made.encode()).hexdigest()}\n"
        descriptor = os.open(token_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(line)
        click.echo(made)
