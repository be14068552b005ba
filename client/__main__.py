# SPDX-License-Identifier: Apache-2.0
"""Entry point of ``nas-client``: whatever happens, a person reads one sentence and a script gets its status."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from client.cli import cli
from client.errors import ClientError, Exit, OutputClosed
from client.output import note


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name.

    Returns:
        The exit status, one of ``Exit``.
    """
    try:
        return _invoke(arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "nas-client"
        sentence = " ".join(error.format_message().split())
        note(f"Error: {sentence.rstrip('.')}. See `{path} --help`.")
        return Exit.USAGE
    except ClientError as error:
        note(f"Error: {error}")
        return error.exit_status
    except OutputClosed:
        return Exit.UNEXPECTED
    except (click.Abort, KeyboardInterrupt):
        note("Interrupted.")
        return Exit.INTERRUPTED
    except Exception as error:
        if os.environ.get("NAS_DEBUG"):
            traceback.print_exc()
        sentence = f"Error: nas-client met something unexpected: {type(error).__name__}: {error}."
        note(f"{sentence} Please report it with what NAS_DEBUG=1 shows.")
        return Exit.UNEXPECTED


def main() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a character shows its escape sequence.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _invoke(arguments: Sequence[str]) -> int:
    for argument in arguments:
        if not _is_unicode(argument):
            raise click.UsageError(f"{argument!r} is not valid text in this terminal's encoding.")
    status = cli.main(list(arguments), prog_name="nas-client", standalone_mode=False)
    return int(status or Exit.OK)


def _is_unicode(text: str) -> bool:
    # Bytes that the terminal's encoding does not know arrive as lone surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in text)


if __name__ == "__main__":
    main()
