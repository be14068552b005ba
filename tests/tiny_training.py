# SPDX-License-Identifier: Apache-2.0
"""A training small enough for a test, and the same one as a program for tests of several processes.

``python tiny_training.py FOLDER EPOCHS`` trains until EPOCHS epochs are there, stops, and prints them as JSON;
``python tiny_training.py FOLDER STEPS steps`` is asked to stop after STEPS further steps.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.blocks import BlockType, make_block
from nas.child import ChildId, EpochResult
from nas.config import Device, InputShape, Precision, TrainingConfig
from nas.layers import Concat, Conv, Flatten, GlobalAverage, Linear, Pool
from nas.training import FitOutcome, FitRequest, TrainingData, fit
from nas.training.request import Images, Labels

CLASSES = 3
SHAPE = InputShape(channels=1, height=8, width=8)
LINEAR_NET = Architecture((Flatten(), Linear(outputs=CLASSES)))
SMALL_NET = Architecture(
    (
        Conv(filters=4, kernel=3),
        Pool(step=1, size=1),
        make_block(BlockType.SE_INCEPTION, (4, 2, 4, 2, 4, 4)),
        Concat(),
        Flatten(),
        Linear(outputs=CLASSES),
    )
)
NORMALISED_NET = Architecture(
    (
        Conv(filters=4, kernel=3, same=True, bn=True),
        Pool(step=2, size=2),
        make_block(BlockType.SE_INCEPTION, (4, 2, 4, 2, 4, 4), bn=True, ratio=8),
        GlobalAverage(),
        Linear(outputs=CLASSES),
    )
)


def make_images(count: int, seed: int) -> tuple[Images, Labels]:
    """Make noise in which the class lights up two rows, so that a small net can learn it."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    images = generator.integers(0, 100, (count, 1, SHAPE.height, SHAPE.width))
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 120
    return images.astype(np.uint8), labels.astype(np.int64)


def make_data(train: int = 90, validation: int = 45) -> TrainingData:
    """Make both parts."""
    train_images, train_labels = make_images(train, seed=1)
    validation_images, validation_labels = make_images(validation, seed=2)
    return TrainingData(
        train_images=train_images,
        train_labels=train_labels,
        validation_images=validation_images,
        validation_labels=validation_labels,
    )


def make_request(architecture: Architecture = SMALL_NET, folder: Path | None = None, **training: Any) -> FitRequest:
    """Make a request of four epochs on one thread of the CPU; ``training`` replaces settings."""
    settings = TrainingConfig(batch_size=16, max_epochs=4, device=Device.CPU, precision=Precision.FP32)
    return FitRequest(
        architecture=architecture,
        input_shape=SHAPE,
        training=replace(settings, **training),
        search_seed=3,
        child_id=ChildId(1, 2),
        threads=1,
        checkpoint_dir=folder,
    )


@dataclass(slots=True)
class Stopper:
    """Asks to stop when so many batches, those of a validation included, have been done; ``fit`` takes its methods."""

    after: int
    done: int = 0

    def count(self) -> None:
        """One more batch."""
        self.done += 1

    def should_stop(self) -> bool:
        """Whether it is time."""
        return self.done >= self.after


def run_fit(
    request: FitRequest, data: TrainingData, stopper: Stopper | None = None
) -> tuple[list[EpochResult], FitOutcome]:
    """Train to the end, or until ``stopper`` says so."""
    epochs = []
    generator = fit(request, data, stopper.count, stopper.should_stop) if stopper else fit(request, data)
    while True:
        try:
            epochs.append(next(generator))
        except StopIteration as end:
            return epochs, end.value


def run_some(request: FitRequest, data: TrainingData, count: int) -> list[EpochResult]:
    """Train until ``count`` epochs are there and walk away, as a worker that is told to stop."""
    generator = fit(request, data)
    epochs = [next(generator) for _ in range(count)]
    generator.close()
    return epochs


def without_times(results: list[EpochResult]) -> list[EpochResult]:
    """Blank out what differs between two equal trainings."""
    return [replace(result, seconds=0.0, images_per_second=0.0) for result in results]


if __name__ == "__main__":
    request = make_request(folder=Path(sys.argv[1]), precision=Precision.BF16)
    if sys.argv[3:] == ["steps"]:
        results, _ = run_fit(request, make_data(), Stopper(int(sys.argv[2])))
    else:
        results = run_some(request, make_data(), int(sys.argv[2]))
    print(json.dumps([asdict(result) for result in results]))
