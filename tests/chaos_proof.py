# SPDX-License-Identifier: Apache-2.0
"""Scale, seed and result of every test that injects faults.

NAS_CHAOS_SEED     of every schedule; the same seed injects the same faults
NAS_CHAOS_SCALE    1.0 in `make chaos`, 5.0 in `make chaos-night`, 0.05 in the suite
NAS_CHAOS_RESULTS  file to which each proof appends one JSON object
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SEED = int(os.environ.get("NAS_CHAOS_SEED", "1"))
SCALE = float(os.environ.get("NAS_CHAOS_SCALE", "0.05"))
KEPT = Path(__file__).resolve().parents[1] / "build" / "chaos" / "failed"
"""Where the folders of failed tests are copied to."""

IS_ALONE = SCALE >= 1.0
"""Whether nothing else runs on the machine; only then are limits in seconds asserted."""


def scaled(count: int, *, least: int = 1) -> int:
    """Scale a number of repetitions; it is ``count`` at scale 1."""
    return max(least, round(count * SCALE))


def draw_for(name: str) -> random.Random:
    """Return a generator that is seeded by NAS_CHAOS_SEED and by the name of what is drawn."""
    return random.Random(f"{SEED}/{name}")


@dataclass(slots=True)
class Proof:
    """The result of a test of one fault; the test fills ``n`` and ``result`` in.

    Attributes:
        fault: the row of docs/reliability.md.
        bar: what has to hold for the test to pass.
        n: how often the fault was injected.
        result: what was measured, in a few words.
    """

    fault: str
    bar: str
    n: int = 0
    result: str = ""
    has_passed: bool = False


@contextmanager
def proving(fault: str, bar: str, folder: Path) -> Iterator[Proof]:
    """Record whether the block passes; if it fails, copy the folder and add the command that repeats the test."""
    with recording(fault, bar) as proof:
        try:
            yield proof
        except BaseException as error:
            error.add_note(_keep(folder))
            raise
        proof.has_passed = True


@contextmanager
def recording(fault: str, bar: str) -> Iterator[Proof]:
    """Record the proof, whether the block passes or fails."""
    proof = Proof(fault=fault, bar=bar)
    begin = time.monotonic()
    try:
        yield proof
    finally:
        _append(proof, seconds=time.monotonic() - begin)


def _keep(folder: Path) -> str:
    """Copy the folder of a failed test; returns where it is and how to repeat the test."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    name = "".join(c if c.isalnum() else "-" for c in test.rpartition("/")[2])
    target = KEPT / f"{name}-seed-{SEED}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, dirs_exist_ok=True)
    again = f"NAS_CHAOS_SEED={SEED} NAS_CHAOS_SCALE={SCALE:g} .venv/bin/python -m pytest '{test}'"
    return f"kept: {target}\nrepro: {again}"


def _append(proof: Proof, *, seconds: float) -> None:
    path = os.environ.get("NAS_CHAOS_RESULTS")
    if not path:
        return
    row = {
        "fault": proof.fault,
        "bar": proof.bar,
        "n": proof.n,
        "result": proof.result,
        "passed": proof.has_passed,
        "seconds": round(seconds, 1),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a") as results:
        results.write(json.dumps(row) + "\n")
