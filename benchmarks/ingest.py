# SPDX-License-Identifier: Apache-2.0
"""Ingest at the size of the whole KAU-BCMD: JPEGs of 2000x2500 pixels, each unlike every other, made for the occasion.

    python benchmarks/ingest.py --images 5662 --folder /tmp/ingest

Prints seconds, images per second, processor use and peak memory of: a first start; a start that is killed half way and
the one after it; a later start; one with --verify. The process measured is the one that the server starts. The folder
is deleted afterwards unless --keep is given.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from nas.blocks import BlockType
from nas.config import SearchConfig
from server.codec.plain import read, write
from server.codec.preparing import ENVIRONMENT, PROGRAM, DataRequest, PrepareAnswer, PrepareProgress, PrepareRequest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from phantoms import VIEWS, draw_phantom

SHARES = {1: 0.837, 3: 0.12, 4: 0.033, 5: 0.01}
"""Of the patients, as in the public copy."""
SIZE = (2000, 2500)
BASES = 8
"""Drawing a phantom of this size takes a second; others are shifted, brightened copies, each with a mark of its own."""


@dataclass
class Run:
    """One process that prepared data."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    files_read: int
    fingerprint: str


def make_patient(folder: str, category: int, patient: int) -> int:
    """Write four images of a patient; returns their bytes."""
    target = Path(folder) / f"Birad{category}"
    target.mkdir(parents=True, exist_ok=True)
    size = 0
    for view, side in VIEWS:
        random = np.random.default_rng([patient, VIEWS.index((view, side))])
        image = ImageChops.offset(base(category, patient % BASES, view, side), 0, int(random.integers(-300, 300)))
        brighter = int(random.integers(0, 25))
        image = image.point([0, *(min(255, level + brighter) for level in range(1, 256))])
        image.paste(Image.fromarray(random.integers(0, 256, (64, 64), np.uint8)), (SIZE[0] // 2, 0))
        path = target / f"2018_BC{patient:06}_ {view}_{side}.jpg"
        image.save(path, quality=85)
        size += path.stat().st_size
    return size


_bases: dict[tuple[int, int, str, str], Image.Image] = {}


def base(category: int, number: int, view: str, side: str) -> Image.Image:
    """Draw a phantom once a process."""
    key = (category, number, view, side)
    if key not in _bases:
        small = draw_phantom(category, number, view, side, size=(SIZE[0] // 4, SIZE[1] // 4))
        grain = np.random.default_rng(number).integers(-6, 7, (SIZE[1], SIZE[0]))
        large = np.asarray(Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC)).astype(np.int16)
        _bases[key] = Image.fromarray(np.where(large > 4, np.clip(large + grain, 1, 255), 0).astype(np.uint8))
    return _bases[key]


def make_tree(folder: Path, images: int) -> float:
    """Write the images; returns gigabytes."""
    patients = -(-images // len(VIEWS))
    counts = {category: max(12, round(share * patients)) for category, share in SHARES.items()}
    counts[1] += patients - sum(counts.values())
    jobs = [(category, number) for category, count in counts.items() for number in range(count)]
    with ProcessPoolExecutor() as pool:
        sizes = pool.map(
            make_patient,
            [str(folder)] * len(jobs),
            [category for category, _ in jobs],
            range(1, len(jobs) + 1),
            chunksize=8,
        )
        total = sum(sizes)
    surplus = sorted(folder.rglob("*.jpg"))[images:]
    for path in surplus:
        path.unlink()
    return total / 1e9


def prepare(root: Path, cache: Path, *, kill_at: int = 0, verify: bool = False) -> Run:
    """Start the process that the server starts and watch what it takes."""
    config = SearchConfig(dataset="kau", block=BlockType.SE_INCEPTION)
    request = PrepareRequest(data=DataRequest.make(config, data_root=str(root), cache_dir=cache), is_verifying=verify)
    start = time.perf_counter()
    before = os.times()
    process = subprocess.Popen(
        [sys.executable, *PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, "NAS_WORKER_PARENT": str(os.getpid())},
    )
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    peak = PeakMemory(process.pid)
    process.stdin.write(write(request))
    process.stdin.close()
    done, answer = 0, b""
    for line in process.stdout:
        if not line.endswith(b"\n"):
            answer = line
            break
        done = max(done, read(PrepareProgress, line).done)
        if kill_at and done >= kill_at:
            process.kill()
    process.wait()
    after = os.times()
    seconds = time.perf_counter() - start
    found = read(PrepareAnswer, answer) if answer else PrepareAnswer()
    if found.message:
        raise SystemExit(found.message)
    return Run(
        seconds=seconds,
        processor_seconds=after.children_user + after.children_system - before.children_user - before.children_system,
        peak_mib=peak.stop(),
        files_read=done,
        fingerprint="" if found.dataset is None else str(found.dataset["fingerprint"]),
    )


def decode_bare(root: Path, images: int = 200) -> float:
    """Images per second of one processor's time if there were nothing but reading, hashing and libjpeg."""
    files = sorted(root.rglob("*.jpg"))[:images]
    start = time.process_time()
    for path in files:
        content = path.read_bytes()
        hashlib.sha256(content).digest()
        with Image.open(io.BytesIO(content)) as image:
            image.draft("L", (128, 128))
            image.load()
    return len(files) / (time.process_time() - start)


class PeakMemory:
    """Samples the proportional memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the highest sum seen, in MiB."""
        self._end.set()
        self._thread.join()
        return self._peak / 1024

    def _watch(self) -> None:
        while not self._end.wait(0.2):
            self._peak = max(self._peak, sum(map(proportional_kib, family(self._pid))))


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((task / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            found += family(int(task.name))
    return found


def proportional_kib(pid: int) -> int:
    """Memory of a process, shared pages by its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    """Make the images, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5662)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--keep", action="store_true", help="leave the images there, and use those that are there")
    arguments = parser.parse_args()
    root = arguments.folder / "root"
    if not (root / "kau").is_dir():
        start = time.perf_counter()
        gigabytes = make_tree(root / "kau", arguments.images)
        print(f"{arguments.images} images, {gigabytes:.1f} GB, made in {time.perf_counter() - start:.0f} s", flush=True)
    for name in ("first", "killed"):
        shutil.rmtree(arguments.folder / name, ignore_errors=True)
    half = arguments.images // 2
    runs = {
        "first start": prepare(root, arguments.folder / "first"),
        "killed half way": prepare(root, arguments.folder / "killed", kill_at=half),
        "started again": prepare(root, arguments.folder / "killed"),
        "later start": prepare(root, arguments.folder / "first"),
        "with --verify": prepare(root, arguments.folder / "first", verify=True),
    }
    bare = decode_bare(root)
    fingerprints = {run.fingerprint for run in runs.values() if run.fingerprint}
    for name, run in runs.items():
        figures = {
            "seconds": round(run.seconds, 2),
            "images_per_second": round(arguments.images / run.seconds),
            "processor_seconds": round(run.processor_seconds, 1),
            "processors_busy": round(run.processor_seconds / run.seconds, 2),
            "peak_mib": round(run.peak_mib),
        }
        print(f"{name:16} {json.dumps(figures)}")
    print(f"bare decoder     {bare:.0f} images per second and processor; there are {len(os.sched_getaffinity(0))}")
    print("one fingerprint" if len(fingerprints) == 1 else f"DIFFERENT FINGERPRINTS: {fingerprints}")
    if not arguments.keep:
        shutil.rmtree(arguments.folder)


if __name__ == "__main__":
    main()
