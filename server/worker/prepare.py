# SPDX-License-Identifier: Apache-2.0
"""The process that prepares a data set, under limits and without torch, so that no foreign file can harm the server.

It reads one JSON object from standard input, and writes its progress and one answer to standard output. Images are
decoded by processes that it starts.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from nas.config import image_settings
from nas.data import (
    DatasetError,
    ImageOptions,
    Limits,
    Progress,
    describe,
    download,
    inspect_division,
    prepare,
    report_division,
    split,
)
from server.codec.plain import read, write
from server.codec.preparing import DataRequest, PrepareAnswer, PrepareProgress, PrepareRequest
from server.worker.decoders import DecoderProcesses
from server.worker.lifeline import claim_stdout
from server.worker.limits import limit_memory, limited_processor

MAX_IMAGE_PIXELS = "NAS_MAX_IMAGE_PIXELS"
"""Environment variable with the largest number of pixels of an image; the server's processes inherit it."""
PROGRESS_SECONDS = 0.5
"""Least time between two lines about the progress."""


def main() -> None:
    """Prepare a data set, divide it, and describe the result or what is wrong."""
    answers = claim_stdout()
    request = read(PrepareRequest, sys.stdin.buffer.read())
    try:
        answer = _answer(request, tell_progress(answers))
    except DatasetError as error:
        answer = PrepareAnswer(error=type(error).__name__, message=str(error))
    answers.write(write(answer))


def _answer(request: PrepareRequest, on_progress: Progress) -> PrepareAnswer:
    data = request.data
    data_root = Path(data.data_root) if data.data_root is not None else None
    if request.may_download:
        download(data.dataset, data_root)  # before the limits: torchvision brings torch with it
    limit_memory()
    dataset = prepare(
        data.dataset,
        data_root=data_root,
        cache_dir=Path(data.cache_dir),
        options=image_options(data, on_progress, is_verifying=request.is_verifying),
    )
    parts = split(dataset, **data.division)
    report_division(dataset, parts, data.division)
    return PrepareAnswer(dataset=describe(dataset, parts) | {"division": inspect_division(dataset, parts)})


def image_options(data: DataRequest, on_progress: Progress, *, is_verifying: bool = False) -> ImageOptions:
    """Return how images are read: as the request says, within the limits of this process."""
    return ImageOptions(
        **image_settings(data),
        guard=limited_processor,
        limits=_image_limits(),
        reader=DecoderProcesses(),
        is_verifying=is_verifying,
        on_progress=on_progress,
    )


def tell_progress(answers: BinaryIO) -> Progress:
    """Return a function that writes how many files are done, at most every ``PROGRESS_SECONDS``."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            answers.write(write(PrepareProgress(done=done, total=total)) + b"\n")

    return tell


def _image_limits() -> Limits:
    """Return the limits per image, as the server was configured."""
    pixels = os.environ.get(MAX_IMAGE_PIXELS)
    return Limits() if pixels is None else Limits(pixels=int(pixels))


if __name__ == "__main__":
    main()
