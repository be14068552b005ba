# SPDX-License-Identifier: Apache-2.0
"""Entry point of nas-server; loads nothing of weight before it can be told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

# gRPC's core would write lines of its own among those of the log; its errors reach us through the calls.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_STOPPED = {"run": 75, "serve": 0}
"""What verbs that stay end with when they are told to stop; ``server.commands.exits``, which is slow to load."""


def main() -> None:
    """Run nas-server; usage errors end with 64."""
    with _stop_signals(sys.argv[1:2]):
        import click

        from server.cli import cli

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


@contextlib.contextmanager
def _stop_signals(verb: Sequence[str]) -> Iterator[None]:
    """Let a verb that stays end as documented when it is told to stop before its own handlers are in place.

    Process 1 of a container ignores what it has no handler for, and loading the modules takes more than a second. Until
    the server opens its state folder nothing has to be written, so the process can end at once.
    """
    status = _STOPPED.get("".join(verb))
    numbers = () if status is None else (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: os._exit(status or 0)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
