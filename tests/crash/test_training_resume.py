# SPDX-License-Identifier: Apache-2.0
"""Equal threads on one machine give equal weights in every process, interrupted or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tiny_training import make_data, make_request, run_fit, without_times

from nas.config import Precision
from nas.training import Trained
from nas.training.checkpoint import list_positions

PROGRAM = Path(__file__).parents[1] / "tiny_training.py"


def _run_process(folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """Train in a process of its own as its arguments say, then stop."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[1]), str(PROGRAM.parent)])}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *map(str, arguments)],
        check=True,
        capture_output=True,
        env=environment,
    )
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def test_two_epochs_and_two_in_another_process_equal_four(tmp_path: Path) -> None:
    """A stopped training goes on in a new process and ends with identical weights and results."""
    request = make_request(precision=Precision.BF16)
    straight, expected = run_fit(request, make_data())

    first = _run_process(tmp_path, 2)
    second = _run_process(tmp_path, 4)
    continued, outcome = run_fit(make_request(folder=tmp_path, precision=Precision.BF16), make_data())

    assert isinstance(outcome, Trained)
    assert first == second[:2]
    assert second == json.loads(json.dumps([asdict(result) for result in continued]))
    assert without_times(straight) == without_times(continued)
    assert expected == outcome


def test_steps_of_three_processes_equal_those_of_one(tmp_path: Path) -> None:
    """Interrupted in the middle of two epochs, each time by another process, it ends with identical weights."""
    request = make_request(precision=Precision.BF16)
    straight, expected = run_fit(request, make_data())

    first = _run_process(tmp_path, 4, "steps")
    second = _run_process(tmp_path, 9, "steps")
    positions = list_positions(tmp_path)
    continued, outcome = run_fit(make_request(folder=tmp_path, precision=Precision.BF16), make_data())

    assert (0, 1) == (len(first), len(second))
    assert [(1, 4), (1, 0)] == positions
    assert without_times(straight) == without_times(continued)
    assert expected == outcome
