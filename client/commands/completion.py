# SPDX-License-Identifier: Apache-2.0
"""``completion``: the line that teaches a shell the verbs, the options and the ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from client.output import write

_EPILOG = """\b
Examples:
  nas-client completion bash
  nas-client completion fish
"""


@click.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what a shell needs to complete commands: verbs, options and search ids.

    For bash, append it to ~/.bashrc; for zsh, to ~/.zshrc; for fish, put it into
    ~/.config/fish/completions/nas-client.fish.
    """
    from client.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None, shell  # noqa: S101 - click knows the three
    write(kind(cli, {}, "nas-client", "_NAS_CLIENT_COMPLETE").source())
