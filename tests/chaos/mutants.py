# SPDX-License-Identifier: Apache-2.0
"""Plant known bugs, one at a time, in a copy of the tree and require that tests fail: a harness that cannot fail rots.

python tests/chaos/mutants.py [--sample N]     of NAS_CHAOS_SEED; without --sample all of them
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from chaos_proof import SEED, recording  # noqa: E402 - found only now where this is a program

COPIED = ("nas", "server", "client", "proto", "tests", "scripts", "pyproject.toml")
_TIMEOUT_SECONDS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug.

    Attributes:
        path: of the module, from the root.
        old: text that occurs in it once.
        new: what the bug makes of it.
        tests: what pytest is given; has to fail.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        name="commits are not synced",
        path="server/journal/database.py",
        old='connection.pragma("synchronous", "full")',
        new='connection.pragma("synchronous", "off")',
        tests=("tests/unit/test_journal_sqlite.py", "tests/chaos/test_power_loss.py"),
    ),
    Mutant(
        name="the high-water mark is not synced",
        path="server/journal/high_water.py",
        old="        _sync(self._fd)\n",
        new="",
        tests=("tests/unit/test_journal_sqlite.py", "tests/chaos/test_power_loss.py"),
    ),
    Mutant(
        name="the mark moves before the commit",
        path="server/journal/store.py",
        old="""        reach("journal.before_commit")
""",
        new="""        high_water.write(Mark(position=rows[-1][0], chain=rows[-1][4]))
""",
        tests=("tests/unit/test_journal_sqlite.py", "tests/chaos/test_power_loss.py"),
    ),
    Mutant(
        name="a resumed watch misses one event",
        path="server/rpc/servicer.py",
        old="            after,\n            heartbeat_seconds",
        new="            after + (after > 0),\n            heartbeat_seconds",
        tests=("tests/chaos/test_chaos_kill.py",),
    ),
    Mutant(
        name="the hub repeats an event after a resume",
        path="server/hub.py",
        old="            cursor = after_sequence\n",
        new="            cursor = max(0, after_sequence - 1)\n",
        tests=("tests/unit/test_hub.py", "tests/property/test_watch_properties.py"),
    ),
    Mutant(
        name="the chain is not compared",
        path="server/journal/database.py",
        old="            if chain != row[4]:\n",
        new="            if len(chain) != len(row[4]):\n",
        tests=("tests/unit/test_journal_recovery.py", "tests/crash/test_journal_crash.py"),
    ),
    Mutant(
        name="a client that leaves interrupts a commit",
        path="server/engine/engine.py",
        old="await asyncio.shield(asyncio.ensure_future(self._carry_out(command)))",
        new="await self._carry_out(command)",
        tests=("tests/unit/test_server_engine.py",),
    ),
    Mutant(
        name="randomness is carried, not derived",
        path="nas/training/seeding.py",
        old='        torch.manual_seed(derive_seed(request.search_seed, "init", str(request.child_id)))\n',
        new="        pass\n",
        tests=("tests/crash/test_training_resume.py", "tests/unit/test_training_loop.py"),
    ),
    Mutant(
        name="draws are not those of the seed",
        path="server/engine/engine.py",
        old="return seeded_draw(seed,",
        new="return seeded_draw(seed + __import__('time').time_ns() % 1000,",
        tests=("tests/chaos/test_chaos_kill.py",),
    ),
    Mutant(
        name="attempts are not fenced",
        path="nas/search/machine.py",
        old="work = running.get((command.child_id, command.attempt))",
        new="work = {key[0]: value for key, value in running.items()}.get(command.child_id)",
        tests=("tests/unit/test_search_attempts.py",),
    ),
    Mutant(
        name="files are written in place",
        path="nas/durable.py",
        old="        temporary.replace(path)\n",
        new="        path.write_bytes(content)\n        temporary.unlink()\n",
        tests=("tests/crash/test_durable_files.py",),
    ),
    Mutant(
        name="NaN is sorted like a number",
        path="nas/selection.py",
        old="key=lambda c: (not c.evaluation.is_finite, -c.evaluation.value(metric)",
        new="key=lambda c: (-c.evaluation.value(metric)",
        tests=("tests/unit/test_selection.py", "tests/property/test_selection_order.py"),
    ),
    Mutant(
        name="a NaN loss is a loss like any other",
        path="nas/search/reports.py",
        old="    problem = _divergence(report)\n",
        new='    problem = ""\n',
        tests=("tests/unit/test_search_attempts.py", "tests/chaos/test_chaos_workers.py"),
    ),
    Mutant(
        name="the state moves before the journal",
        path="server/engine/engine.py",
        old="""                envelopes, records = await self._append(facts)
                reach("engine.before_evolve")
                for envelope in envelopes:
                    self._take_over(envelope)
""",
        new="""                for fact in facts:
                    self._search = evolve(self._search, fact)
                self._on_change()
                envelopes, records = await self._append(facts)
                self._sequence = envelopes[-1].sequence
""",
        tests=("tests/unit/test_server_engine.py",),
    ),
    Mutant(
        name="a restart counts against the child",
        path="nas/search/evolve.py",
        old="UNCOUNTED = (LostReason.SERVER_RESTARTED, ",
        new="UNCOUNTED = (",
        tests=("tests/unit/test_search_attempts.py",),
    ),
    Mutant(
        name="a request id is forgotten",
        path="server/engine/registry.py",
        old="        known = self._by_request.get(request_id)\n",
        new="        known = None\n",
        tests=("tests/chaos/test_chaos_starts.py",),
    ),
    Mutant(
        name="a hung worker is never given up",
        path="server/executor/attempts.py",
        old="worker.lines(self._options.progress_seconds)",
        new="worker.lines(3600.0)",
        tests=("tests/chaos/test_chaos_workers.py::test_a_hung_worker_is_given_up",),
    ),
)


def plant(mutant: Mutant, tree: Path) -> None:
    """Copy the tree and put the bug in."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    path = tree / mutant.path
    path.write_text(path.read_text().replace(mutant.old, mutant.new))


def is_caught(mutant: Mutant, tree: Path) -> bool:
    """Run the tests until one fails; a bug so coarse that nothing can be imported does not count."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *mutant.tests]
    environment = {**os.environ, "NAS_CHAOS_SCALE": "0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    environment.pop("NAS_CHAOS_RESULTS", None)
    with (tree / "pytest.log").open("w") as log:
        try:
            status = subprocess.run(
                command, cwd=tree, env=environment, stdout=log, stderr=log, timeout=_TIMEOUT_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return True
    assert status in (0, 1), (tree / "pytest.log").read_text()[-3000:]
    return status == 1


def survivors(mutants: list[Mutant]) -> list[str]:
    """Names of the bugs that no test has noticed."""
    found = []
    for mutant in mutants:
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            plant(mutant, Path(folder))
            was_caught = is_caught(mutant, Path(folder))
        print(f"{'caught' if was_caught else 'SURVIVED'}: {mutant.name}", flush=True)
        if not was_caught:
            found.append(mutant.name)
    return found


def main() -> int:
    """Plant all bugs, or a sample; returns the exit status."""
    parser = argparse.ArgumentParser(description="Plant known bugs and require that tests fail.")
    parser.add_argument("--sample", type=int, default=len(MUTANTS))
    parser.add_argument("--only", help="the bugs whose name holds this text")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if not arguments.only or arguments.only in mutant.name]
    mutants = random.Random(SEED).sample(mutants, min(arguments.sample, len(mutants)))
    with recording("planted mutants", "all caught") as proof:
        left = survivors(mutants)
        proof.n, proof.result = len(mutants), f"{len(mutants) - len(left)} of {len(mutants)} caught"
        proof.has_passed = not left
    for name in left:
        again = f"NAS_CHAOS_SEED={SEED} .venv/bin/python tests/chaos/mutants.py --only '{name}'"
        print(f"survived: {name}\nrepro: {again}", file=sys.stderr)
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
