# SPDX-License-Identifier: Apache-2.0
"""The process that decodes image files one after the other, under limits; a file that crashes it harms nothing else.

The first line of its input is JSON with the folder (an open descriptor) and how images are read; every further line
names a file. Each answer is one line of JSON, followed by as many bytes of pixels as it says.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from dataclasses import asdict

from nas.config import InputShape
from nas.data import FoundFile, Limits, Reading, Tree, Wanted, read_file
from server.worker.lifeline import claim_stdout
from server.worker.limits import limit_memory, renew_processor


def main() -> None:
    """Answer until there are no more requests."""
    answers = claim_stdout()
    limit_memory()
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # Python's own handler would not run while C code hangs
    tree, wanted = _read_task(sys.stdin.buffer.readline())
    with contextlib.suppress(BrokenPipeError):  # the process that asked was killed, and this one is about to be
        for line in sys.stdin.buffer:
            renew_processor()
            answers.write(_answer(read_file(tree, FoundFile(parts=tuple(json.loads(line)), state=()), wanted)))


def _answer(reading: Reading) -> bytes:
    picture = reading.picture
    pixels = b"" if picture is None else picture.pixels_CHW.tobytes()
    header = None if reading.header is None else asdict(reading.header)
    sizes = {"bytes": len(pixels), "bits": 0 if picture is None else picture.bits}
    told = {"sha256": reading.sha256, "header": header, "fault": reading.fault, **sizes}
    return json.dumps(told).encode() + b"\n" + pixels


def _read_task(line: bytes) -> tuple[Tree, Wanted]:
    task = json.loads(line)
    tree = Tree(dataset="", location="", key="", descriptor=task["descriptor"])
    wanted = task["wanted"]
    shape = None if wanted["shape"] is None else InputShape(**wanted["shape"])
    return tree, Wanted(**wanted | {"shape": shape, "limits": Limits(**wanted["limits"])})


if __name__ == "__main__":
    main()
