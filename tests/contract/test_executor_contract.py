# SPDX-License-Identifier: Apache-2.0
"""The executors of one machine keep the contract of all executors."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from attempts import Listener, make_request, worker_pids
from executor_suite import ExecutorContract

from nas.blocks import BlockType
from nas.config import Device, Precision, SearchConfig, TrainingConfig
from nas.search import commands
from nas.search.reasons import AttemptKind
from server.executor.base import Executor
from server.executor.fake import FakeExecutor
from server.executor.instructions import WorkerOptions
from server.executor.local import local_executor
from server.executor.preparation import DataPreparation
from server.files import StateFiles


class TestFakeExecutor(ExecutorContract):
    """Attempts in the server's own process."""

    def make(self, folder: Path, *, epoch_seconds: float) -> Executor:
        return FakeExecutor(slots=2, epoch_seconds=epoch_seconds)


class TestLocalExecutor(ExecutorContract):
    """Attempts in real worker processes that train nothing."""

    def make(self, folder: Path, *, epoch_seconds: float) -> Executor:
        options = WorkerOptions(trainer="simulated", data_root=None, epoch_seconds=epoch_seconds)
        return local_executor(slots=2, files=StateFiles(folder), options=options)


async def test_the_real_trainer_keeps_the_contract(tmp_path: Path) -> None:
    """One epoch on a few digits and the test evaluation: weights as reported, parts of the search."""
    files = StateFiles(tmp_path)
    training = TrainingConfig(max_epochs=1, device=Device.CPU, precision=Precision.FP32)
    config = SearchConfig(dataset="digits", block=BlockType.INCEPTION, train_limit=200, training=training)
    data = await DataPreparation(data_root=None, cache_dir=files.cache).prepare(config)
    options = WorkerOptions(trainer="torch", data_root=None, epoch_seconds=0.0)
    executor = local_executor(slots=1, files=files, options=options)
    listener = Listener()
    request = make_request(config=config, dataset=data.summary)
    evaluation = make_request(attempt=2, config=config, dataset=data.summary, kind=AttemptKind.TEST_EVALUATION)

    await executor.launch(request, listener.hear)
    await executor.expect(1)
    trained = await listener.outcome(request)
    path = files.weights(request.key.search_id, request.key.child_id)
    evaluation = replace(evaluation, best_epoch=trained.best_epoch, weights_sha256=trained.weights_sha256)
    await executor.launch(evaluation, listener.hear)
    evaluated = await listener.outcome(evaluation)
    await executor.close()

    kinds = [commands.ReportStarted, commands.ReportEpoch, commands.ReportTrained]
    assert kinds == [type(report) for report in listener.of(request)]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == trained.weights_sha256
    assert data.summary.counts.validation == trained.evaluation.total
    assert isinstance(evaluated, commands.ReportEvaluated)
    assert data.summary.counts.test == evaluated.evaluation.total
    assert set() == worker_pids()
