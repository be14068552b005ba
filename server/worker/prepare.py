# SPDX-License-Identifier: Apache-2.0
"""Data preparation as a process of its own, with limits, without torch: a file from outside cannot touch the server.

Reads one JSON object from standard input and writes its progress and one answer to standard output. Images are decoded
by processes that it starts.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from nas.data import (
    DatasetError,
    ImageOptions,
    Limits,
    Progress,
    Reader,
    describe,
    download,
    prepare,
    report_division,
    split,
)
from server.codec.preparing import PrepareAnswer, PrepareProgress, PrepareRequest
from server.worker.decoders import DecoderProcesses
from server.worker.lifeline import claim_stdout, die_with_parent
from server.worker.limits import limit_memory, limited_processor

MAX_IMAGE_PIXELS = "NAS_MAX_IMAGE_PIXELS"
"""Environment variable of the server, which everything that it starts inherits."""


PROGRESS_SECONDS = 0.5
"""Between two lines about it."""


def main() -> None:
    """Prepare a data set, divide it, and describe the result or what is wrong."""
    die_with_parent()
    answers = claim_stdout()
    request = PrepareRequest.from_json(sys.stdin.buffer.read())
    try:
        answer = _answer(request, tell_progress(answers))
    except DatasetError as error:
        answer = PrepareAnswer(error=type(error).__name__, message=str(error))
    answers.write(answer.to_json())


def _answer(request: PrepareRequest, on_progress: Progress) -> PrepareAnswer:
    data_root = Path(request.data_root) if request.data_root is not None else None
    if request.may_download:
        download(request.dataset, data_root)  # before the limits: torchvision brings torch with it
    limit_memory()
    dataset = prepare(
        request.dataset,
        data_root=data_root,
        cache_dir=Path(request.cache_dir),
        options=ImageOptions(
            input_size=request.input_size,
            class_map=request.class_map,
            max_bad_files=request.max_bad_files,
            fit=request.fit,
            group_regex=request.group_regex,
            guard=limited_processor,
            limits=image_limits(),
            reader=image_reader(),
            is_verifying=request.is_verifying,
            on_progress=on_progress,
        ),
    )
    parts = split(dataset, seed=request.seed, train_limit=request.train_limit)
    report_division(dataset, parts, request.seed)
    return PrepareAnswer(dataset=describe(dataset, parts))


def tell_progress(answers: BinaryIO) -> Progress:
    """Return what says every now and then how many files are done."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            answers.write(PrepareProgress(done=done, total=total).to_json())

    return tell


def image_limits() -> Limits:
    """What one image may cost, as the server was told."""
    pixels = os.environ.get(MAX_IMAGE_PIXELS)
    return Limits() if pixels is None else Limits(pixels=int(pixels))


def image_reader() -> Reader:
    """What reads image files."""
    return DecoderProcesses()


if __name__ == "__main__":
    main()
