# SPDX-License-Identifier: Apache-2.0
"""The process of one attempt: load the trainer, wait for the request, report until there is an outcome, exit."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

import click

from nas.search import commands
from nas.search.reasons import LostReason
from server.codec.lines import STOP, WorkerRequest, decode_request, encode_report
from server.crash_points import reach
from server.worker.lifeline import claim_stdout, leave_at_end_of
from server.worker.signs import Signs

Trainer = Callable[[WorkerRequest, Signs, threading.Event], Iterator[commands.Report]]


@click.command()
@click.option("--trainer", type=click.Choice(["torch", "simulated"]), default="torch")
def main(trainer: str) -> None:
    """Run one attempt; started by the server, which writes the request to standard input."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # service managers send it to all processes; the server decides
    reports = claim_stdout()
    run = load_trainer(trainer)  # before the request arrives, so that a process may be started ahead of time
    reach("worker.loaded")
    line = sys.stdin.buffer.readline()
    if not line:
        return
    stop = threading.Event()
    leave_at_end_of(sys.stdin.buffer, STOP, stop)
    request = decode_request(line)
    reach("worker.requested")
    try:
        for report in run_guarded(run, request, Signs(reports), stop):
            reach("worker.before_report")
            reports.write(encode_report(report))
            reach("worker.after_report")
    except Exception:
        traceback.print_exc()
        os._exit(1)  # a normal exit would abort, because the lifeline's thread holds standard input
    reports.flush()
    os._exit(0)  # without waiting for the threads of the lifeline and of torch


def load_trainer(name: str) -> Trainer:
    """Import a trainer."""
    if name == "simulated":
        from server.worker.simulated import run
    else:
        from server.worker.training import run
    return run


def run_guarded(run: Trainer, request: WorkerRequest, signs: Signs, stop: threading.Event) -> Iterator[commands.Report]:
    """Report a lack of memory or disk space as a lost attempt; any other error is a bug and ends the process."""
    try:
        yield from run(request, signs, stop)
    except Exception as error:
        reason = classify(error)
        if reason is None:
            raise
        yield commands.ReportLost(
            child_id=request.child_id, attempt=request.attempt, reason=reason, detail=_DETAILS[reason]
        )


_DETAILS = {
    LostReason.OUT_OF_MEMORY: "memory ran out during training",
    LostReason.DISK_FULL: "there was no room for a checkpoint",
}


def classify(error: Exception) -> LostReason | None:
    """Return whether memory or disk space ran out; None for any other error."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
        return LostReason.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LostReason.DISK_FULL
    return None


if __name__ == "__main__":
    main()
