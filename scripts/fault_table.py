# SPDX-License-Identifier: Apache-2.0
"""The faults that this software promises to survive, what each may cost, and where that is tried."""

from __future__ import annotations

from dataclasses import dataclass

GPU = "unproved: needs a GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        recorded_as: beginnings of the names under which runs record it; empty if no run does.
        tests: of the suite, beside those that record.
        caveat: what the verdict must not be read without.
    """

    number: int
    fault: str
    bar: str
    recorded_as: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    caveat: str = ""


ROWS = (
    Row(
        number=1,
        fault="kill -9 of server, workers or both, any instant",
        bar="digest identical, 0 acknowledged events lost, 0 duplicated, SERVING again within 2 s; 200 per seed",
        recorded_as=("kill -9 at any instant", "kill -9 with the real CPU trainer"),
        tests=("tests/crash/test_server_kill.py",),
    ),
    Row(
        number=2,
        fault="kill -9 at named places",
        bar="every place, both sides of each write: digest identical, nothing lost",
        recorded_as=("kill -9 at named crash points", "kill -9 while a checkpoint is written"),
        caveat="each place twice by day, ten times by night",
    ),
    Row(
        number=3,
        fault="power loss, torn and lost unsynced writes",
        bar="5,000 states: 0 acknowledgements lost, 0 journals unopenable",
        recorded_as=("power loss",),
        caveat="simulated in SQLite's file layer; no real power was cut",
    ),
    Row(
        number=4,
        fault="journal altered or truncated",
        bar="0 undetected; refused in 2 s with exit 74, naming the last good event",
        recorded_as=("journal altered", "server started on a damaged journal"),
        tests=("tests/crash/test_journal_crash.py",),
    ),
    Row(
        number=5,
        fault="checkpoint altered, truncated or missing",
        bar="0 used silently; the one before it serves, else the child is trained again",
        recorded_as=("checkpoint altered",),
        tests=("tests/unit/test_checkpoint.py",),
    ),
    Row(
        number=6,
        fault="disk full",
        bar="the search waits and says so, reads go on, it resumes by itself; 50 times",
        recorded_as=("disk full",),
        tests=("tests/crash/test_shutdown.py", "tests/unit/test_journal_sqlite.py"),
    ),
    Row(
        number=7,
        fault="SIGTERM, also followed by kill -9",
        bar="exit within 20 s, status 0, nothing lost, digest identical",
        recorded_as=("SIGTERM",),
        tests=("tests/crash/test_preemption.py", "tests/crash/test_shutdown.py"),
    ),
    Row(
        number=8,
        fault="preemption told from a bug by a Kubernetes Job",
        bar="documented exit codes, a manifest that uses them",
        tests=("tests/contract/test_manifests.py",),
    ),
    Row(
        number=9,
        fault="worker: SIGKILL, SIGSEGV, SIGABRT, exits, exception, garbage, truncated line",
        bar="detected within 2 s, classified, retried; digest identical; 100 of each",
        recorded_as=("worker killed",),
        tests=("tests/unit/test_server_worker_faults.py",),
    ),
    Row(
        number=10,
        fault="worker hangs",
        bar="given up within the deadline and 2 s, retried, digest identical; 100",
        recorded_as=("worker hangs",),
        caveat="SIGSTOP only; a worker in an uninterruptible wait is unproved",
    ),
    Row(
        number=11,
        fault="a slow worker taken for dead, its late reports",
        bar="reports of a superseded attempt change nothing",
        tests=("tests/unit/test_search_attempts.py", "tests/property/test_search_any_commands.py"),
    ),
    Row(
        number=12,
        fault="CUDA out of memory, device assert",
        bar="same configuration once more, then infeasible; memory back within 5 s",
        recorded_as=("out of memory",),
        caveat=f"injected on the CPU; with CUDA {GPU}",
    ),
    Row(
        number=13,
        fault="NaN or infinite loss",
        bar="flagged in its epoch, never selected, no endless search",
        recorded_as=("out of memory (injected), NaN", "every child of an iteration diverges"),
        tests=("tests/property/test_selection_order.py", "tests/unit/test_search_attempts.py"),
    ),
    Row(
        number=14,
        fault="workers orphaned by their server",
        bar="none 2 s after any kill",
        recorded_as=("kill -9 at any instant",),
        caveat=f"processes on the CPU; memory of a GPU {GPU}",
    ),
    Row(
        number=15,
        fault="two servers on one state folder",
        bar="the second refuses within 2 s; 100",
        recorded_as=("two servers on one folder",),
        tests=("tests/unit/test_journal_sqlite.py", "tests/rpc/test_server_process.py"),
    ),
    Row(
        number=16,
        fault="watchers that leave and return while servers die",
        bar="ordered, unique, gapless, resumable, bookmarked: 0 violations",
        recorded_as=("watchers that disconnect", "idle watchers"),
        tests=("tests/property/test_watch_properties.py",),
        caveat="200 watchers by day, 1,000 by night; latencies are not measured here",
    ),
    Row(
        number=17,
        fault="slow, stalled, vanished watchers",
        bar="cost nobody else anything, freed within 60 s; 500 vanished, 50 stalled",
        recorded_as=("stalled, frozen and vanished",),
        tests=("tests/unit/test_hub_memory.py",),
        caveat="dropped packets are not tried",
    ),
    Row(
        number=18,
        fault="resume from a sequence that does not exist",
        bar="OUT_OF_RANGE with the head; never a silent skip",
        tests=("tests/unit/test_hub.py", "tests/rpc/test_server_watch.py"),
    ),
    Row(
        number=19,
        fault="start retried, duplicated, client gone",
        bar="100 at once, disconnected and killed: one search, one answer",
        recorded_as=("identical starts",),
    ),
    Row(
        number=20,
        fault="new code, old journal",
        bar="journals of every release replay to the same digest",
        tests=("tests/golden/test_journals.py", "tests/golden/test_transcripts.py"),
    ),
    Row(
        number=21,
        fault="time to recover",
        bar="SERVING within 2 s of each kill, with 100,000 events",
        recorded_as=("kill -9 at any instant", "killed with a long journal"),
    ),
    Row(
        number=22,
        fault="malformed requests",
        bar="0 crashes, 0 INTERNAL or UNKNOWN, no path or secret in a message; 20,000 requests",
        recorded_as=("fuzzed requests",),
        tests=("tests/rpc/test_server_hostile.py",),
    ),
    Row(
        number=23,
        fault="corrupt images, labels, data sets",
        bar="refused naming file and reason, never a crash; 2,500 mutated files",
        recorded_as=("corrupt images", "corrupt IDX files", "corrupt lists of images"),
        tests=("tests/unit/test_data_idx.py", "tests/unit/test_data_cache.py", "tests/unit/test_worker_decoders.py"),
    ),
    Row(
        number=24,
        fault="journal throughput",
        bar="1,000 durable events per second",
        caveat="measured, not held by a test: docs/benchmarks.md",
    ),
    Row(
        number=25,
        fault="loss of a node with its volume",
        bar="the platform's; stated, not hidden",
        caveat="outside of what a process can prove",
    ),
    Row(
        number=26,
        fault="the tests themselves",
        bar="every planted bug is caught",
        recorded_as=("planted mutants",),
        tests=("tests/chaos/test_chaos_mutants.py",),
    ),
    Row(
        number=27,
        fault="HTTP/2 abuse: reset streams, cancelled watches",
        bar="others answered within 1 s (p99), memory bounded",
        recorded_as=("flood of reset streams", "watches begun and cancelled"),
        caveat="one flooding process on the same machine, 60 s and 20,000 watches by day",
    ),
)
