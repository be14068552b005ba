# SPDX-License-Identifier: Apache-2.0
"""The process that checks a data set, under the same limits as its preparation."""

from __future__ import annotations

import sys
from pathlib import Path

from nas.data import DatasetError, check
from server.codec.checking import CheckRequest, encode_inspection
from server.codec.plain import read, write
from server.codec.preparing import PrepareAnswer
from server.worker.lifeline import claim_stdout
from server.worker.limits import limit_memory
from server.worker.prepare import image_options, tell_progress


def main() -> None:
    """Check the data set of the request, and answer with what was found or why it cannot be checked."""
    answers = claim_stdout()
    request = read(CheckRequest, sys.stdin.buffer.read())
    limit_memory()
    data = request.data
    kind, _, path = data.dataset.partition(":")
    try:
        inspection = check(
            kind,
            path,
            data_root=None if data.data_root is None else Path(data.data_root),
            cache_dir=Path(data.cache_dir),
            options=image_options(data, tell_progress(answers)),
            seed=data.seed,
            most_names=request.most_names,
        )
        answer = PrepareAnswer(dataset=encode_inspection(inspection))
    except DatasetError as error:
        answer = PrepareAnswer(error=type(error).__name__, message=str(error))
    answers.write(write(answer))


if __name__ == "__main__":
    main()
