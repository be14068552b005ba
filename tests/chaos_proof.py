# SPDX-License-Identifier: Apache-2.0
"""How hard to try, with which seed, and what came of it: the frame around every test that injects faults.

NAS_CHAOS_SEED     of every schedule; the same seed strikes at the same places
NAS_CHAOS_SCALE    1.0 is what `make chaos` does, 5.0 `make chaos-night`; the suite alone does little
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
"""Whether the machine is ours: bars in seconds are held only then, not beside the rest of the suite."""


def scaled(count: int, *, least: int = 1) -> int:
    """How many times to do what is done ``count`` times at scale 1."""
    return max(least, round(count * SCALE))


def draw_for(name: str) -> random.Random:
    """Random numbers that follow from the seed and the name of what is drawn."""
    return random.Random(f"{SEED}/{name}")


@dataclass(slots=True)
class Proof:
    """What a test found out about one fault; fill ``n`` and ``result`` in.

    Attributes:
        fault: the row of docs/reliability.md.
        bar: what has to hold.
        n: how often it was tried.
        result: what was measured, in a few words.
    """

    fault: str
    bar: str
    n: int = 0
    result: str = ""
    has_passed: bool = False


@contextmanager
def proving(fault: str, bar: str, folder: Path) -> Iterator[Proof]:
    """Record whether the block passes; of one that does not, keep the folder and say how to do it again."""
    with recording(fault, bar) as proof:
        try:
            yield proof
        except BaseException as error:
            error.add_note(_keep(folder))
            raise
        proof.has_passed = True


@contextmanager
def recording(fault: str, bar: str) -> Iterator[Proof]:
    """Record what the block finds out, whatever becomes of it."""
    proof = Proof(fault=fault, bar=bar)
    begin = time.monotonic()
    try:
        yield proof
    finally:
        _append(proof, seconds=time.monotonic() - begin)


def _keep(folder: Path) -> str:
    """Copy what a failed test has left; says where to and how to repeat the test."""
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
