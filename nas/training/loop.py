# SPDX-License-Identifier: Apache-2.0
"""Train one child: a generator of epochs that neither logs nor knows who listens (paper section IV.D.2).

Legend: N = images, C = channels, H = height, W = width.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Generator

import torch

from nas.child import EpochResult
from nas.evaluation import evaluate
from nas.training.augmentation import draw_augmentation
from nas.training.checkpoint import Checkpoint, find_checkpoint, list_positions, load_checkpoint, save_checkpoint
from nas.training.device import apply_runtime, resolve_runtime
from nas.training.durable import write_durably
from nas.training.early_stopping import EarlyStopping
from nas.training.epoch import EpochProgress, make_optimizer, train_epoch
from nas.training.fingerprint import compute_fingerprint
from nas.training.imbalance import draw_epoch, make_loss
from nas.training.request import Diverged, FitOutcome, FitRequest, Interrupted, Trained, TrainingData
from nas.training.seeding import build_seeded
from nas.training.state import WEIGHTS, capture_state, restore_state
from nas.training.weights import BEST_WEIGHTS, Tensors, move_array, serialise_tensors, snapshot_weights

_BEST = "best"
"""Group of the best weights in a checkpoint; left out where the epoch's own weights are the best."""
_PROGRESS = "progress"
_LOSS_SUMS = "loss_sums"


def fit(
    request: FitRequest,
    data: TrainingData,
    on_step: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_checkpoint: Callable[[float], None] = lambda _: None,
) -> Generator[EpochResult, None, FitOutcome]:
    """Train a child from scratch, or on from its newest checkpoint, and keep its best weights.

    Each epoch is checkpointed before it is yielded, so closing the generator at a yield loses nothing. A continued
    training first yields the epochs of the checkpoint as they were recorded, so the caller always gets all of them.

    Args:
        request: the child and how to train it.
        data: the two parts that training may see.
        on_step: called after every batch, a sign of progress for whoever waits for an epoch.
        should_stop: asked before every step. Once it says so, what is done is checkpointed and no further step is
            taken; a validation that has begun is finished, but checkpointed before.
        on_checkpoint: told after every checkpoint how many seconds it took.

    Yields:
        One result an epoch, from epoch 1.

    Returns:
        Trained; Diverged as soon as a loss is not finite, without yielding the epoch in which that happens; or
        Interrupted if it was asked to stop before the last step.

    Raises:
        DataMismatchError: the images or labels do not fit the net.
        DeviceUnavailableError: the device asked for is not there.
        ShapeError: a layer does not fit the map it gets.
        OSError: a checkpoint cannot be written.
    """
    data.require_fit(request)
    attempt = _Attempt(request, data, on_step, should_stop, on_checkpoint)
    yield from attempt.history
    while not attempt.is_over:
        outcome = attempt.run_epoch()
        if isinstance(outcome, (Diverged, Interrupted)):
            return outcome
        yield outcome
    return attempt.finish()


def find_resumed_epoch(request: FitRequest, data: TrainingData) -> int:
    """Tell how many whole epochs ``fit`` would take over from a checkpoint; reads, deletes nothing.

    Raises:
        DeviceUnavailableError: the device asked for is not there.
    """
    folder = request.checkpoint_dir
    if folder is None or not list_positions(folder):
        return 0
    runtime = resolve_runtime(request.training, request.threads)
    epochs, _ = find_checkpoint(folder, compute_fingerprint(request, runtime, data)) or (0, 0)
    return epochs


class _Attempt:
    """One training in progress; what it knows besides tensors follows from ``history`` and ``_progress``."""

    def __init__(
        self,
        request: FitRequest,
        data: TrainingData,
        on_step: Callable[[], None],
        should_stop: Callable[[], bool],
        on_checkpoint: Callable[[float], None],
    ) -> None:
        self.history: tuple[EpochResult, ...] = ()
        self._progress = EpochProgress()
        self._saved_steps = 0
        self._request = request
        self._on_step = on_step
        self._should_stop = should_stop
        self._on_checkpoint = on_checkpoint
        self._runtime = resolve_runtime(request.training, request.threads)
        self._device = apply_runtime(self._runtime)
        self._model = build_seeded(request).to(self._device).to(memory_format=torch.channels_last)
        self._optimizer = make_optimizer(self._model, request.training)
        self._stopping = EarlyStopping(patience=request.training.patience)
        self._best_weights: Tensors = {}
        self._fingerprint = ""
        if request.checkpoint_dir is not None:
            request.checkpoint_dir.mkdir(parents=True, exist_ok=True)
            self._fingerprint = compute_fingerprint(request, self._runtime, data)
            self._restore(load_checkpoint(request.checkpoint_dir, self._fingerprint))
        self._labels_N = data.train_labels
        classes = request.architecture.classes
        self._compute_loss = make_loss(request.training.imbalance, data.train_labels, classes, self._device)
        self._train_images_NCHW = move_array(data.train_images, self._device)
        self._train_labels_N = move_array(data.train_labels, self._device)
        self._validation_images_NCHW = move_array(data.validation_images, self._device)
        self._validation_labels_N = move_array(data.validation_labels, self._device)

    @property
    def is_over(self) -> bool:
        """Whether early stopping or the last epoch has ended the training."""
        return self._stopping.is_exhausted or len(self.history) >= self._request.training.max_epochs

    def run_epoch(self) -> EpochResult | Diverged | Interrupted:
        """Train, validate and checkpoint one epoch, or what there is of it when it is time to stop."""
        epoch = len(self.history) + 1
        training_loss = self._train(epoch)
        if training_loss is None:
            self._save_progress()
            return Interrupted(epoch=epoch, steps=self._progress.steps)
        if not math.isfinite(training_loss):
            return Diverged(epoch=epoch, detail=f"the training loss of epoch {epoch} is {training_loss}")
        start = time.perf_counter()
        validation = evaluate(
            self._model,
            self._validation_images_NCHW,
            self._validation_labels_N,
            classes=self._request.architecture.classes,
            batch_size=self._request.training.batch_size,
            precision=self._runtime.precision,
            on_step=self._take_validation_step,
        )
        if not validation.is_finite:
            return Diverged(epoch=epoch, detail=f"the validation loss of epoch {epoch} is {validation.loss}")
        result = EpochResult(
            epoch=epoch,
            training_loss=training_loss,
            validation=validation,
            seconds=self._progress.seconds + time.perf_counter() - start,
            images_per_second=len(self._train_labels_N) / self._progress.seconds,
        )
        self._record(result)
        self._save()
        return result

    def finish(self) -> Trained:
        """Write the best weights out and sum up."""
        content = serialise_tensors(self._best_weights)
        if self._request.checkpoint_dir is not None:
            write_durably(self._request.checkpoint_dir / BEST_WEIGHTS, content)
        return Trained(
            epochs=len(self.history),
            best_epoch=self._stopping.best_epoch,
            evaluation=self.history[self._stopping.best_epoch - 1].validation,
            stopped_early=self._stopping.is_exhausted and len(self.history) < self._request.training.max_epochs,
            weights_sha256=hashlib.sha256(content).hexdigest(),
        )

    def _train(self, epoch: int) -> float | None:
        start = time.perf_counter()
        request = self._request
        order = draw_epoch(request.training.imbalance, request.search_seed, request.child_id, epoch, self._labels_N)
        training_loss = train_epoch(
            self._model,
            self._optimizer,
            self._train_images_NCHW,
            self._train_labels_N,
            move_array(order, self._device),
            batch_size=request.training.batch_size,
            precision=self._runtime.precision,
            compute_loss=self._compute_loss,
            augmentation=draw_augmentation(request, epoch, len(order), self._device),
            progress=self._progress,
            on_step=self._on_step,
            should_stop=self._should_stop,
        )
        self._progress.seconds += time.perf_counter() - start
        return training_loss

    def _take_validation_step(self) -> None:
        self._on_step()
        if self._should_stop():
            self._save_progress()  # the rest of a large validation part may take longer than is left

    def _record(self, result: EpochResult) -> None:
        self.history = (*self.history, result)
        self._progress = EpochProgress()
        self._saved_steps = 0
        self._stopping = self._stopping.observe(result.epoch, result.validation.loss)
        if self._stopping.best_epoch == result.epoch:
            self._best_weights = snapshot_weights(self._model)

    def _save_progress(self) -> None:
        """Checkpoint the steps of an epoch in progress, unless there are none since the last checkpoint."""
        if self._progress.steps > self._saved_steps:
            self._save()
            self._saved_steps = self._progress.steps

    def _save(self) -> None:
        """Checkpoint what there is, if the request names a folder."""
        if self._request.checkpoint_dir is None:
            return
        start = time.perf_counter()
        groups = capture_state(self._model, self._optimizer)
        progress = self._progress
        if progress.steps:
            groups[_PROGRESS] = {_LOSS_SUMS: torch.stack(progress.loss_sums).cpu()}
        if progress.steps or self._stopping.best_epoch != len(self.history):
            groups[_BEST] = self._best_weights
        checkpoint = Checkpoint(history=self.history, groups=groups, steps=progress.steps, seconds=progress.seconds)
        save_checkpoint(self._request.checkpoint_dir, self._fingerprint, checkpoint)
        self._on_checkpoint(time.perf_counter() - start)

    def _restore(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        groups = checkpoint.groups
        restore_state(self._model, self._optimizer, groups)
        self.history = checkpoint.history
        self._stopping = self._stopping.observe_all(checkpoint.history)
        if not checkpoint.steps:
            self._best_weights = groups.get(_BEST, groups[WEIGHTS])
            return
        self._best_weights = groups.get(_BEST, {})  # in the first epoch there are none
        sums = groups[_PROGRESS][_LOSS_SUMS].to(self._device)
        self._progress = EpochProgress(loss_sums=list(sums.unbind()), seconds=checkpoint.seconds)
        self._saved_steps = checkpoint.steps
