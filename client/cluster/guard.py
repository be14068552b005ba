# SPDX-License-Identifier: Apache-2.0
"""A program of its own that runs another one and ends it, with all that it started, as soon as its parent is gone.

Usage: ``python -I -S guard.py PROGRAM ARGUMENT...``; standard input is a pipe whose other end only the parent holds.
However the parent ends, SIGKILL included, the system closes that end: the guard reads the end of the file and kills its
process group. It has to be started as the leader of a group (``start_new_session``).

It imports nothing beyond the standard library and starts in some 20 ms. A parent-death signal alone would not do: it
would reach the program itself but nothing that the program, often a wrapper, has started; and the system sends it when
the thread that started the program ends, not the process. The program gets one on top, in case the guard is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> NoReturn:
    """Run a command until standard input ends, then kill the whole group, this process included.

    Args:
        command: program and arguments; the program is looked up on PATH.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what a terminal sends is for the parent, which ends this in its turn
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    guard = os.getpid()
    if not os.fork():
        _become(command, guard)
    # Whoever reads what the program writes has to see its end when the program ends, not when this process does.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)
    os._exit(1)  # not reached


def _become(command: list[str], guard: int) -> NoReturn:
    """Turn this process, the child, into the program; ends with 127 if there is no such program."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the pipe is what counts
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)  # noqa: S606 - a fixed argument list, no shell
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
