# SPDX-License-Identifier: Apache-2.0
"""A server that is told to stop while it is still being loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.__main__ import _STOPPED
from server.commands.exits import Exit

# Sends SIGTERM to itself at the moment at which a module is looked for: what Python would do anyway, made exact.
PROGRAM = """\
import os, runpy, signal, sys

moment = sys.argv.pop(1)


class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGTERM)


sys.meta_path.insert(0, Stopping())
runpy.run_module("server", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("moment", ["click", "server.cli", "pydantic", "grpc", "apsw", "server.app"])
@pytest.mark.parametrize("verb", ["run", "serve"])
def test_first_moments_hear_sigterm(tmp_path: Path, verb: str, moment: str) -> None:
    """The documented status, no word, and an empty state folder, whatever is being loaded."""
    options = ["--dataset", "digits", "--block", "ib"] if verb == "run" else []
    command = [sys.executable, "-c", PROGRAM, moment, verb, "--state-dir", str(tmp_path / "state"), *options]

    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ({"run": 75, "serve": 0}[verb], "", "") == (finished.returncode, finished.stdout, finished.stderr)
    assert not (tmp_path / "state").exists()


def test_early_statuses_are_the_documented_ones() -> None:
    """The table that is loaded first agrees with the one that is too slow to load."""
    assert {"run": Exit.INTERRUPTED, "serve": Exit.OK} == _STOPPED
