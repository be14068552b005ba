# SPDX-License-Identifier: Apache-2.0
"""One attempt: load the trainer, wait for the request, report until there is an outcome, leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import click

from nas.search import commands
from nas.search.facts import LostReason
from server.codec.lines import WorkerRequest, decode_request, encode_report
from server.worker.lifeline import claim_stdout, die_with_parent, leave_at_end_of

Trainer = Callable[[WorkerRequest], Iterator[commands.Report]]


@click.command()
@click.option("--trainer", type=click.Choice(["torch", "simulated"]), default="torch")
def main(trainer: str) -> None:
    """Run one attempt; started by the server, which writes the request to standard input."""
    die_with_parent()
    reports = claim_stdout()
    run = load_trainer(trainer)  # before the request arrives: this is what a warm worker has behind it
    line = sys.stdin.buffer.readline()
    if not line:
        return
    leave_at_end_of(sys.stdin.buffer)
    request = decode_request(line)
    for report in run_guarded(run, request):
        reports.write(encode_report(report))
    reports.flush()
    os._exit(0)  # the lifeline's thread and torch's need no goodbye


def load_trainer(name: str) -> Trainer:
    """Import a trainer."""
    if name == "simulated":
        from server.worker.simulated import run
    else:
        from server.worker.training import run
    return run


def run_guarded(run: Trainer, request: WorkerRequest) -> Iterator[commands.Report]:
    """Turn want of memory into an outcome; any other error is a bug and ends the process, its traceback in the log."""
    try:
        yield from run(request)
    except Exception as error:
        if not isinstance(error, MemoryError) and "out of memory" not in str(error).lower():
            raise
        yield commands.ReportLost(
            child_id=request.child_id,
            attempt=request.attempt,
            reason=LostReason.OUT_OF_MEMORY,
            detail="memory ran out during training",
        )


if __name__ == "__main__":
    main()
