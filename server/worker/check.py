# SPDX-License-Identifier: Apache-2.0
"""The check of a data set as a process of its own, under the same limits as its preparation."""

from __future__ import annotations

import sys
from pathlib import Path

from nas.data import DatasetError, ImageOptions, check
from server.codec.checking import CheckRequest, encode_inspection
from server.codec.preparing import PrepareAnswer
from server.worker.lifeline import claim_stdout, die_with_parent
from server.worker.limits import limit_memory, limited_processor
from server.worker.prepare import image_limits, image_reader, tell_progress


def main() -> None:
    """Check a folder, and say what was found or why it cannot be looked at."""
    die_with_parent()
    answers = claim_stdout()
    request = CheckRequest.from_json(sys.stdin.buffer.read())
    limit_memory()
    try:
        inspection = check(
            request.kind,
            request.path,
            data_root=None if request.data_root is None else Path(request.data_root),
            cache_dir=Path(request.cache_dir),
            options=ImageOptions(
                input_size=request.input_size,
                class_map=request.class_map,
                fit=request.fit,
                group_regex=request.group_regex,
                guard=limited_processor,
                limits=image_limits(),
                reader=image_reader(),
                on_progress=tell_progress(answers),
            ),
            seed=request.seed,
            most_names=request.most_names,
        )
        answer = PrepareAnswer(dataset=encode_inspection(inspection))
    except DatasetError as error:
        answer = PrepareAnswer(error=type(error).__name__, message=str(error))
    answers.write(answer.to_json())


if __name__ == "__main__":
    main()
