# SPDX-License-Identifier: Apache-2.0
"""Write ``docs/reliability.md`` from the results of a run of `make chaos`: every fault, its bar, what came of it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_table import ROWS, Row

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/reliability.md"
TEXT = """\
# Reliability

What is done to this software on purpose, and what came of it. Written by `make chaos` and `make chaos-night` from their
results (`scripts/reliability_report.py`); do not edit. Faults and bars stand in `scripts/fault_table.py`.

- Date: {date}
- Machine: {machine}
- Command: `{command}`
- Verdict: {verdict}

"Identical" compares the digest of `nas/search/digest.py`, which says what it leaves out. Where no number of trials
stands, the row is held by tests of the suite that need no chaos. By the rule of three, no failure in n trials means a
failure rate below 3/n with 95 % confidence.

| # | fault | bar | tried | found | verdict |
| --- | --- | --- | --- | --- | --- |
{rows}

## How it is done
Black box: real server and worker processes, real sockets, SIGKILL. A schedule drawn from the seed strikes by the clock,
by events seen and right after events of one kind; observers write down all that they are told, and in the end the
journal, the API and every observer have to tell the same story, which has to be that of three undisturbed runs. Planted
bugs (`tests/chaos/mutants.py`) prove that the tests can fail. A failed test keeps its folder in `build/chaos/failed`
and prints the command that repeats it.
"""


@dataclass(slots=True)
class Finding:
    """All results of one row."""

    tried: int = 0
    texts: list[str] = field(default_factory=list)
    has_failed: bool = False


def find(row: Row, results: Sequence[dict[str, Any]]) -> Finding:
    """Collect what was recorded about a row's faults."""
    finding = Finding()
    for result in results:
        if result["fault"].startswith(row.recorded_as):
            finding.tried += result["n"]
            finding.texts.append(result["result"])
            finding.has_failed |= not result["passed"]
    return finding


def render_row(row: Row, results: Sequence[dict[str, Any]]) -> str:
    """Return a line of the table."""
    finding = find(row, results) if row.recorded_as else Finding()
    found = "; ".join(text for text in finding.texts if text)
    found = "; ".join([*([found] if found else []), *(f"`{path}`" for path in row.tests)])
    cells = (row.number, row.fault, row.bar, finding.tried or "", found, verdict_of(row, finding))
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def verdict_of(row: Row, finding: Finding) -> str:
    """Say in a few words where a row stands."""
    if finding.has_failed:
        word = "**failed**"
    elif finding.texts:
        word = "passed"
    elif row.tests:
        word = "held by the suite"
    else:
        word = "not proved"
    return f"{word}; {row.caveat}" if row.caveat else word


def machine() -> str:
    """Describe the processor, without a name that would tell whose machine it is."""
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    model = " / ".join(sorted(models)) or platform.machine()
    return f"{model}, {cores} cores, {memory:.0f} GiB, no GPU; Python {platform.python_version()}"


def main() -> int:
    """Write the document."""
    parser = argparse.ArgumentParser(description="Write docs/reliability.md from the results of a run.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--command", required=True, help="what was run")
    arguments = parser.parse_args()
    if not arguments.results.exists():
        print(f"{arguments.results} does not exist: the run recorded nothing", file=sys.stderr)
        return 1
    results = [json.loads(line) for line in arguments.results.read_text().splitlines()]
    failed = sorted({result["fault"] for result in results if not result["passed"]})
    DOCUMENT.write_text(
        TEXT.format(
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            machine=machine(),
            command=arguments.command,
            verdict=f"failed: {', '.join(failed)}" if failed else f"all {len(results)} proofs passed",
            rows="\n".join(render_row(row, results) for row in ROWS),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
