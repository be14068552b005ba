# SPDX-License-Identifier: Apache-2.0
"""One attempt to train a child, epoch by epoch; ``nas.training.loop`` drives it.

Legend: N = images, C = channels, H = height, W = width.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.child import EpochResult
from nas.durable import write_durably
from nas.evaluation import evaluate
from nas.recipe import planned_epochs
from nas.training.augmentation import draw_augmentation
from nas.training.average import WeightAverage
from nas.training.checkpoint import load_checkpoint, save_checkpoint
from nas.training.device import apply_runtime, resolve_runtime
from nas.training.early_stopping import EarlyStopping
from nas.training.epoch import EpochPlan, Learner, train_epoch
from nas.training.fingerprint import compute_fingerprint
from nas.training.imbalance import draw_epoch, make_loss
from nas.training.inheritance import inherit_weights
from nas.training.progress import TrainingProgress
from nas.training.recipe import effective_patience, make_recipe
from nas.training.request import (
    Diverged,
    FitRequest,
    Images,
    Interrupted,
    Labels,
    Trained,
    TrainingData,
)
from nas.training.seeding import build_seeded
from nas.training.weights import BEST_WEIGHTS, move_array, serialise_tensors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listener:
    """The functions that the caller of ``fit`` wants to be called; ``fit`` describes them."""

    on_step: Callable[[], None]
    should_stop: Callable[[], bool]
    on_checkpoint: Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Images (uint8) and labels (int64) of one part of the data set, on the device."""

    pixels_NCHW: Tensor
    labels_N: Tensor

    @classmethod
    def move(cls, images: Images, labels: Labels, device: torch.device) -> _Part:
        return cls(pixels_NCHW=move_array(images, device), labels_N=move_array(labels, device))


class Attempt:
    """One training: the net, its optimizer and the data on the device, and how far it has got."""

    def __init__(self, request: FitRequest, data: TrainingData, listener: Listener) -> None:
        self._request = request
        self._listener = listener
        self._epochs = planned_epochs(request.training, len(data.train_labels))
        patience = effective_patience(request.training, self._epochs)
        self._progress = TrainingProgress(stopping=EarlyStopping(patience=patience))
        self._saved_steps = 0
        self._runtime = resolve_runtime(request.training, request.threads)
        self._device = apply_runtime(self._runtime)
        self._recipe = make_recipe(request.training)
        self._learner = self._make_learner(data)
        self._fingerprint = ""
        if request.checkpoint_dir is not None:
            request.checkpoint_dir.mkdir(parents=True, exist_ok=True)
            self._fingerprint = compute_fingerprint(request, self._runtime, data)
        if not self._restore() and request.inherited is not None:
            inherit_weights(self._learner.model, request.inherited)
            if self._learner.average is not None:
                self._learner.average.restart()
        self._host_labels_N = data.train_labels
        self._training = _Part.move(data.train_images, data.train_labels, self._device)
        self._validation = _Part.move(data.validation_images, data.validation_labels, self._device)

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """Every whole epoch so far."""
        return self._progress.history

    @property
    def is_over(self) -> bool:
        """Whether early stopping or the last epoch has ended the training."""
        return self._progress.stopping.is_exhausted or len(self.history) >= self._epochs

    def run_epoch(self) -> EpochResult | Diverged | Interrupted:
        """Train, validate and checkpoint one epoch; if asked to stop in between, checkpoint the steps done."""
        epoch = len(self.history) + 1
        training_loss = self._train(epoch)
        if training_loss is None:
            self._save_steps()
            return Interrupted(epoch=epoch, steps=self._progress.epoch.steps)
        if not math.isfinite(training_loss):
            return Diverged(epoch=epoch, detail=f"the training loss of epoch {epoch} is {training_loss}")
        start = time.perf_counter()
        validation = evaluate(
            self._learner.kept_model,
            self._validation.pixels_NCHW,
            self._validation.labels_N,
            classes=self._request.architecture.classes,
            batch_size=self._request.training.batch_size,
            precision=self._runtime.precision,
            on_step=self._take_validation_step,
        )
        if not validation.is_finite:
            return Diverged(epoch=epoch, detail=f"the validation loss of epoch {epoch} is {validation.loss}")
        seconds = self._progress.epoch.seconds
        result = EpochResult(
            epoch=epoch,
            training_loss=training_loss,
            validation=validation,
            seconds=seconds + time.perf_counter() - start,
            images_per_second=len(self._host_labels_N) / seconds,
        )
        self._progress.complete_epoch(result, self._learner.kept_model)
        self._saved_steps = 0
        self._save()
        return result

    def finish(self) -> Trained:
        """Write the best weights out and sum up."""
        content = serialise_tensors(self._progress.best_weights)
        if self._request.checkpoint_dir is not None:
            write_durably(self._request.checkpoint_dir / BEST_WEIGHTS, content)
        stopping = self._progress.stopping
        return Trained(
            epochs=len(self.history),
            best_epoch=stopping.best_epoch,
            evaluation=self.history[stopping.best_epoch - 1].validation,
            stopped_early=stopping.is_exhausted and len(self.history) < self._epochs,
            weights_sha256=hashlib.sha256(content).hexdigest(),
        )

    def _make_learner(self, data: TrainingData) -> Learner:
        request = self._request
        model = build_seeded(request).to(self._device).to(memory_format=torch.channels_last)
        training, classes = request.training, request.architecture.classes
        return Learner(
            model=model,
            optimizer=self._recipe.make_optimizer(model),
            precision=self._runtime.precision,
            compute_loss=make_loss(
                training.imbalance,
                data.train_labels,
                classes,
                self._device,
                label_smoothing=training.label_smoothing,
            ),
            clip_norm=training.clip_norm,
            average=WeightAverage(model, training.ema) if training.ema else None,
        )

    def _train(self, epoch: int) -> float | None:
        start = time.perf_counter()
        training_loss = train_epoch(
            self._learner,
            self._training.pixels_NCHW,
            self._training.labels_N,
            self._plan_epoch(epoch),
            progress=self._progress.epoch,
            on_step=self._listener.on_step,
            should_stop=self._listener.should_stop,
        )
        self._progress.epoch.seconds += time.perf_counter() - start
        return training_loss

    def _plan_epoch(self, epoch: int) -> EpochPlan:
        """Derive what an epoch does from the request alone, so that a continued one does the same."""
        request, training = self._request, self._request.training
        order = draw_epoch(training.imbalance, request.search_seed, request.child_id, epoch, self._host_labels_N)
        epoch_steps = -(-len(order) // training.batch_size)
        first, total = (epoch - 1) * epoch_steps, self._epochs * epoch_steps
        return EpochPlan(
            order_N=move_array(order, self._device),
            batch_size=training.batch_size,
            rate=lambda step: self._recipe.rate(first + step, total),
            augmentation=draw_augmentation(request, epoch, len(order), self._device),
            first_step=first,
        )

    def _take_validation_step(self) -> None:
        self._listener.on_step()
        if self._listener.should_stop():
            self._save_steps()  # the rest of a large validation may take longer than the time left to stop

    def _save_steps(self) -> None:
        """Checkpoint the steps of an epoch in progress, unless there are none since the last checkpoint."""
        if self._progress.epoch.steps > self._saved_steps:
            self._save()
            self._saved_steps = self._progress.epoch.steps

    def _save(self) -> None:
        """Write a checkpoint, if the request names a folder."""
        if self._request.checkpoint_dir is None:
            return
        start = time.perf_counter()
        learner = self._learner
        checkpoint = self._progress.capture(learner.model, learner.optimizer, learner.average)
        save_checkpoint(self._request.checkpoint_dir, self._fingerprint, checkpoint)
        self._listener.on_checkpoint(time.perf_counter() - start)

    def _restore(self) -> bool:
        """Go on from the newest checkpoint of this training; False if there is none."""
        if self._request.checkpoint_dir is None:
            return False
        checkpoint = load_checkpoint(self._request.checkpoint_dir, self._fingerprint)
        if checkpoint is None:
            return False
        learner = self._learner
        self._progress.restore(checkpoint, learner.model, learner.optimizer, self._device, learner.average)
        self._saved_steps = checkpoint.steps
        return True
