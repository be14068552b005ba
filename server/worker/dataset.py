# SPDX-License-Identifier: Apache-2.0
"""The data of an attempt, read from the cache that was made when the search started.

This is the only module of a worker that sees a whole data set. A training gets the training and validation parts. Only
an attempt that is journaled as a test evaluation gets the test part, and a search has none before it has stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.data import CachedDataset, Split, find_by_fingerprint, split
from nas.search.reasons import AttemptKind
from nas.training import TrainingData
from server.codec.lines import WorkerRequest
from server.codec.plain import read, write
from server.codec.preparing import ENVIRONMENT, PROGRAM, DataRequest, PrepareAnswer, PrepareRequest
from server.worker.lifeline import PARENT_VARIABLE

_POLL_SECONDS = 0.5


class DataChangedError(Exception):
    """The data set has changed since the search was started; the message is one sentence."""


class SealedPartError(Exception):
    """An attempt that is no test evaluation asked for the test part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """The test part, which is read once, after the search has stopped.

    Attributes:
        images: uint8, (N, C, H, W).
        labels: int64, (N,).
        groups: equal numbers for images of one patient, (N,); None if patients are not known.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64] | None


def load_training_data(request: WorkerRequest, on_step: Callable[[], None]) -> TrainingData:
    """Read the training and the validation part.

    Args:
        request: the request of the worker.
        on_step: called repeatedly meanwhile, as a sign of progress.

    Raises:
        DataChangedError: the source is gone or has changed.
        DatasetError: the cache cannot be read.
    """
    dataset, parts = _load(request, on_step)
    return TrainingData(
        train_images=dataset.images_NCHW[parts.train],
        train_labels=dataset.labels_N[parts.train],
        validation_images=dataset.images_NCHW[parts.validation],
        validation_labels=dataset.labels_N[parts.validation],
    )


def open_test_part(request: WorkerRequest, on_step: Callable[[], None]) -> HeldOut:
    """Read the test part; no other function of the program does.

    Raises:
        SealedPartError: the attempt is no test evaluation.
        DataChangedError, DatasetError: as for ``load_training_data``.
    """
    if request.kind is not AttemptKind.TEST_EVALUATION:
        raise SealedPartError("the test part is sealed until the search has stopped")
    dataset, parts = _load(request, on_step)
    sys.audit("nas.open_test_part", request.fingerprint)  # an audit hook can prove when it is read
    return HeldOut(
        images=dataset.images_NCHW[parts.test],
        labels=dataset.labels_N[parts.test],
        groups=None if dataset.groups_N is None else dataset.groups_N[parts.test],
    )


def _load(request: WorkerRequest, on_step: Callable[[], None]) -> tuple[CachedDataset, Split]:
    """Open the data of the search and divide it as before; if its cache is gone, have it made again."""
    data, cache_dir = request.data, Path(request.data.cache_dir)
    dataset = find_by_fingerprint(cache_dir, request.fingerprint)
    if dataset is None:
        fault = _prepare_again(data, on_step)
        dataset = find_by_fingerprint(cache_dir, request.fingerprint)
        if dataset is None:
            raise DataChangedError(
                fault
                or f"data set {data.dataset!r} has changed since the search was started; "
                "put the old files back or start a new search"
            )
    parts = split(dataset, **data.division)
    if parts.fingerprint != request.split_fingerprint:
        raise DataChangedError(
            f"data set {data.dataset!r} is divided differently than when the search was started; start a new search"
        )
    return dataset, parts


def _prepare_again(data: DataRequest, on_step: Callable[[], None]) -> str:
    """Prepare the data in another process, as the server did; returns what is wrong, or an empty text."""
    process = subprocess.Popen(
        [sys.executable, *PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, PARENT_VARIABLE: str(os.getpid())},
    )
    with process:
        content: bytes | None = write(PrepareRequest(data=data))
        while True:
            try:
                output, _ = process.communicate(content, timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                content = None
                on_step()
    if process.returncode:
        return f"reading data set {data.dataset!r} again ended the reader with status {process.returncode}"
    return read(PrepareAnswer, output.rpartition(b"\n")[2]).message
