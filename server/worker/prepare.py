# SPDX-License-Identifier: Apache-2.0
"""Data preparation as a process of its own, without torch: what is wrong with a file cannot touch the server.

Reads one JSON object from standard input and writes one to standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nas.data import DatasetError, describe, prepare, split
from server.worker.lifeline import claim_stdout, die_with_parent


def main() -> None:
    """Prepare a data set, divide it, and describe the result or what is wrong."""
    die_with_parent()
    answers = claim_stdout()
    request = json.load(sys.stdin)
    data_root = request["data_root"]
    answer: dict[str, object]
    try:
        dataset = prepare(
            request["dataset"],
            data_root=Path(data_root) if data_root is not None else None,
            cache_dir=Path(request["cache_dir"]),
            input_size=request["input_size"],
        )
        parts = split(dataset, seed=request["seed"], train_limit=request["train_limit"])
        answer = {"dataset": describe(dataset, parts)}
    except DatasetError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    answers.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
