# SPDX-License-Identifier: Apache-2.0
"""The data of an attempt: the cache that the search was started with, wherever its source has gone meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nas.data import CachedDataset, Split, find_by_fingerprint, split
from server.codec.lines import WorkerRequest
from server.codec.preparing import ENVIRONMENT, PROGRAM, PrepareAnswer, PrepareRequest

_POLL_SECONDS = 0.5


class DataChangedError(Exception):
    """The data is no longer what the search was started with; the message is one sentence."""


def load(request: WorkerRequest, on_step: Callable[[], None]) -> tuple[CachedDataset, Split]:
    """Open the data of the search and divide it as ever; if its cache is gone, have it made once more.

    Args:
        request: what the worker was asked for.
        on_step: called again and again meanwhile, by way of a sign of life.

    Raises:
        DataChangedError: the source is gone or has changed.
        DatasetError: the cache cannot be read.
    """
    cache_dir = Path(request.cache_dir)
    dataset = find_by_fingerprint(cache_dir, request.fingerprint)
    if dataset is None:
        fault = _prepare_again(request, on_step)
        dataset = find_by_fingerprint(cache_dir, request.fingerprint)
        if dataset is None:
            raise DataChangedError(
                fault
                or f"data set {request.dataset!r} has changed since the search was started; "
                "put the old files back or start a new search"
            )
    parts = split(dataset, seed=request.search_seed, train_limit=request.train_limit)
    if parts.fingerprint != request.split_fingerprint:
        raise DataChangedError(
            f"data set {request.dataset!r} is divided differently than when the search was started; start a new search"
        )
    return dataset, parts


def _prepare_again(request: WorkerRequest, on_step: Callable[[], None]) -> str:
    """Let a process of its own prepare the data, as the server did; returns what is wrong, empty if nothing is."""
    wanted = PrepareRequest(
        dataset=request.dataset,
        data_root=request.data_root,
        cache_dir=request.cache_dir,
        input_size=request.input_size,
        class_map=request.class_map,
        max_bad_files=request.max_bad_files,
        fit=request.fit,
        group_regex=request.group_regex,
        seed=request.search_seed,
        train_limit=request.train_limit,
    )
    process = subprocess.Popen(
        [sys.executable, *PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, "NAS_WORKER_PARENT": str(os.getpid())},
    )
    with process:
        content: bytes | None = wanted.to_json()
        while True:
            try:
                output, _ = process.communicate(content, timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                content = None
                on_step()
    if process.returncode:
        return f"reading data set {request.dataset!r} again ended the reader with status {process.returncode}"
    return PrepareAnswer.from_json(output).message
