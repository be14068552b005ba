# SPDX-License-Identifier: Apache-2.0
"""A worker with the fault that its first argument names: ``python faulty_worker.py FAULT --trainer NAME``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

LOST = '{"report":"ReportLost","reason":"out_of_memory","detail":"memory ran out"}'


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _leave(status: int, last_words: str = "") -> None:
    os.write(2, last_words.encode("latin-1"))
    os._exit(status)


def _kill_after(text: str) -> None:
    _say(text)
    os.kill(os.getpid(), signal.SIGKILL)


def _close_and_stay() -> None:
    os.close(1)
    signal.pause()


def _say_and_stay(text: str) -> None:
    _say(text)
    signal.pause()


FAULTS: dict[str, Callable[[], object]] = {
    "killed": lambda: _kill_after(""),
    "killed_within_a_line": lambda: _kill_after(LOST[:20]),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "real_time_signal": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3),
    "silent_success": lambda: _leave(0),
    "status": lambda: _leave(3, "Traceback\n  line 1\nValueError: \x1b[31mred\x1b[0m\ttab\x07bell \xff end\n\n"),
    "long_last_words": lambda: _leave(1, "x" * 100_000),
    "garbage": lambda: _say_and_stay("hello\n"),
    "binary": lambda: os.write(1, b"\x80\x1b\n"),
    "long_line": lambda: _say_and_stay("x" * (3 << 20)),
    "unknown_report": lambda: _say_and_stay('{"report":"ReportParty"}\n'),
    "impossible_checkpoint": lambda: _say_and_stay('{"checkpoint_seconds":-1}\n'),
    "checkpoints_before_its_outcome": lambda: _say(f'{{"checkpoint_seconds":0.250000}}\n{LOST}\n'),
    "stops_unasked": lambda: _say_and_stay(LOST.replace("out_of_memory", "preempted") + "\n"),
    "closes_its_output": _close_and_stay,
    "stays_after_its_outcome": lambda: _say_and_stay(LOST + "\n"),
    "two_outcomes": lambda: _say(f"{LOST}\n{LOST}\n"),
    "talks_after_its_outcome": lambda: _say(f"{LOST}\nhello\n"),
}


def main() -> None:
    """Fail before or after reading the request, as the fault demands."""
    fault = sys.argv[1]
    if fault != "deaf":
        sys.stdin.buffer.readline()
        FAULTS[fault]()


if __name__ == "__main__":
    main()
