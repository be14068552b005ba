# SPDX-License-Identifier: Apache-2.0
"""What goes into a training and what comes out of it.

Legend: N = images, C = channels, H = height, W = width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture
from nas.child import ChildId, Evaluation
from nas.config import InputShape, TrainingConfig
from nas.training.errors import DataMismatchError

Images = npt.NDArray[np.uint8]
"""Pixels, (N, C, H, W)."""
Labels = npt.NDArray[np.int64]
"""Classes counted from 0, (N,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """Weights of another child that a training starts from.

    Attributes:
        path: a safetensors file, such as ``fit`` writes with the best weights.
        sha256: of that file, in hex.
        origins: pairs of a tensor of the child and the tensor of the file whose values it starts with, by their names.
            Both have the same shape and dtype. A tensor of the child that is not named keeps its fresh initial values;
            one of the file may be named by several.
    """

    path: Path
    sha256: str
    origins: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if len(dict(self.origins)) < len(self.origins):
            raise ValueError("origins name a tensor of the child twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """One child to train: equal requests on equal data give identical weights on one machine.

    Attributes:
        search_seed: seed of the search; initial weights, orders and augmentation are derived from it and the child.
        threads: CPU threads; another number gives other bits.
        checkpoint_dir: folder for checkpoints and the best weights, used by one training at a time; None keeps nothing.
        inherited: weights to start from instead of fresh ones; a training that is continued does not read them.
    """

    architecture: Architecture
    input_shape: InputShape
    training: TrainingConfig
    search_seed: int
    child_id: ChildId
    threads: int
    checkpoint_dir: Path | None = None
    inherited: Inherited | None = None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """The two parts of a data set that training may see.

    Raises:
        DataMismatchError: a part is empty, of the wrong type or shape, or has another number of labels than images.
    """

    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels

    def __post_init__(self) -> None:
        require_pair("train", self.train_images, self.train_labels)
        require_pair("validation", self.validation_images, self.validation_labels)

    def require_fit(self, request: FitRequest) -> None:
        """Check both parts against the net.

        Raises:
            DataMismatchError: an image has another shape than the net's input, or a label is no class of the net.
        """
        require_net(request, "train", self.train_images, self.train_labels)
        require_net(request, "validation", self.validation_images, self.validation_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The training came to its end.

    Attributes:
        epochs: number of epochs trained, with those after the best one.
        best_epoch: the epoch with the lowest validation loss, the earliest on a tie; its weights are kept.
        evaluation: result of the best epoch on the validation part.
        stopped_early: whether early stopping ended the training before its last planned epoch.
        weights_sha256: SHA-256 of the best weights as a safetensors file, in hex.
    """

    epochs: int
    best_epoch: int
    evaluation: Evaluation
    stopped_early: bool
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """A loss was not finite; the child has no weights.

    Attributes:
        epoch: the epoch in which it happened, counted from 1.
        detail: one sentence for the user.
    """

    epoch: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The training was asked to stop; a training with an equal request continues from its checkpoint, bit for bit.

    Attributes:
        epoch: the epoch in progress, counted from 1.
        steps: number of steps of that epoch that are done; 0 if it has not begun.
    """

    epoch: int
    steps: int


FitOutcome = Trained | Diverged | Interrupted


def require_pair(part: str, images: Images, labels: Labels) -> None:
    """Check that images and labels belong together.

    Raises:
        DataMismatchError: see ``TrainingData``.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataMismatchError(f"{part}_images", f"must be uint8 (N, C, H, W), not {images.dtype} {images.shape}")
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        expected = f"int64 ({images.shape[0]},)"
        raise DataMismatchError(f"{part}_labels", f"must be {expected}, not {labels.dtype} {labels.shape}")
    if not len(images):
        raise DataMismatchError(f"{part}_images", "has no image; choose a larger data set or train limit")


def require_net(request: FitRequest, part: str, images: Images, labels: Labels) -> None:
    """Check that a net can read the images and name the labels.

    Raises:
        DataMismatchError: see ``TrainingData.require_fit``.
    """
    shape = request.input_shape
    if images.shape[1:] != (shape.channels, shape.height, shape.width):
        found = "x".join(str(side) for side in images.shape[1:])
        raise DataMismatchError(f"{part}_images", f"have shape {found}, but the net reads {shape}")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= request.architecture.classes:
        classes = request.architecture.classes
        raise DataMismatchError(f"{part}_labels", f"go from {lowest} to {highest}, but the net has {classes} classes")
