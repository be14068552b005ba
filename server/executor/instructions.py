# SPDX-License-Identifier: Apache-2.0
"""Makes the request of a worker from the options of all workers and from its attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nas.notation import format_notation
from nas.search.reasons import AttemptKind
from server.codec import lines
from server.codec.lines import WorkerRequest
from server.codec.preparing import DataRequest
from server.executor.base import AttemptRequest, TrainedNet
from server.executor.preparation import root_of
from server.files import StateFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What all workers of a server have in common.

    Attributes:
        trainer: ``torch`` or ``simulated``.
        data_root: where data sets lie; None if the server has none.
        any_path: whether an absolute path of a folder of images may lie outside ``data_root``.
        epoch_seconds: how long an epoch of the simulated trainer takes.
        progress_seconds: how long a worker may say nothing before it is taken for hung and killed.
        leave_seconds: how long a worker may take to exit after its last line before it is killed.
        preempt_seconds: how long workers may take to write checkpoints when the server is asked to stop.
        on_checkpoint: called with the number of seconds that a checkpoint took.
    """

    trainer: str
    data_root: Path | None
    epoch_seconds: float
    progress_seconds: float = 300.0
    leave_seconds: float = 5.0
    preempt_seconds: float = 10.0
    on_checkpoint: Callable[[float], None] = lambda _: None
    any_path: bool = False


def instruct(request: AttemptRequest, options: WorkerOptions, files: StateFiles) -> WorkerRequest:
    """Return everything that the worker of an attempt has to know."""
    key, config, dataset = request.key, request.config, request.dataset
    is_training = request.kind is AttemptKind.TRAINING
    data_root = root_of(config.dataset, options.data_root, any_path=options.any_path)
    return WorkerRequest(
        kind=request.kind,
        child_id=key.child_id,
        attempt=key.attempt,
        notation=format_notation(request.architecture),
        graph_hash=request.graph_hash,
        training=request.training,
        threads=request.resources.threads,
        data=DataRequest.make(config, data_root=data_root, cache_dir=files.cache),
        shape=dataset.shape,
        fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        totals=dataset.counts.validation if is_training else dataset.counts.test,
        train_images=sum(dataset.counts.train),
        commonest=dataset.counts.commonest,
        others=tuple(_with_files(files, key.search_id, net) for net in request.others),
        epochs_recorded=request.epochs_recorded,
        best_epoch=request.best_epoch,
        checkpoint_dir=str(files.checkpoints(key.search_id, key.child_id)),
        weights_path=str(files.weights(key.search_id, key.child_id)),
        weights_sha256=request.weights_sha256,
        epoch_seconds=options.epoch_seconds,
    )


def _with_files(files: StateFiles, search_id: str, net: TrainedNet) -> lines.TrainedNet:
    return lines.TrainedNet(
        child_id=net.child_id,
        notation=format_notation(net.architecture),
        graph_hash=net.graph_hash,
        best_epoch=net.best_epoch,
        weights_path=str(files.weights(search_id, net.child_id)),
        weights_sha256=net.weights_sha256,
    )
