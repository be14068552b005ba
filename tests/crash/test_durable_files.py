# SPDX-License-Identifier: Apache-2.0
"""A writer killed in the middle of a checkpoint leaves the old file or the new one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from chaos_proof import draw_for, proving, scaled

DURABLE = Path(__file__).resolve().parents[2] / "nas/durable.py"
CONTENT_BYTES = 1 << 24
WRITER = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("durable", {str(DURABLE)!r})  # by path: its package would load torch
durable = importlib.util.module_from_spec(spec)
spec.loader.exec_module(durable)
contents = [bytes([letter]) * {CONTENT_BYTES} for letter in b"ab"]
while True:
    for content in contents:
        durable.write_durably(Path(sys.argv[1]), content)
        print("written", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """Killed at random moments of writing 16 MiB over and over: what is found is whole, each time."""
    draw = draw_for("durable files")
    path = tmp_path / "epoch-0001.safetensors"
    with proving("kill -9 while a checkpoint is written", "the old file or the new one", tmp_path) as proof:
        for _ in range(scaled(100, least=30)):
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
            assert writer.stdout is not None
            writer.stdout.readline()
            begin = time.monotonic()
            writer.stdout.readline()
            spare = draw.uniform(0.0, time.monotonic() - begin)
            try:
                writer.wait(spare)
            except subprocess.TimeoutExpired:
                writer.kill()
            writer.communicate()

            found = path.read_bytes()

            assert found in (b"a" * CONTENT_BYTES, b"b" * CONTENT_BYTES), f"{len(found)} bytes"
            proof.n += 1
        proof.result = f"{proof.n} kills, whole each time"
