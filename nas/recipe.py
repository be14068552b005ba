# SPDX-License-Identifier: Apache-2.0
"""The part of a training's settings that the paper does not have (issue 12); each default leaves the paper's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nas.settings import ConfigError, setting

PAPER_WARMUP = 0.2
"""The share that needs no schedule to go with it, because it is the default."""


_BATCH_SIZES = ((1_000, 32), (10_000, 64))
"""With fewer training images than the first number, the second; with more than all of them ``_LARGEST_BATCH``."""
_LARGEST_BATCH = 128
MOST_EPOCHS = 10_000
"""Of one training: what the history of a checkpoint can hold."""


class Schedule(Enum):
    """How the learning rate goes from the first step of a training to the last."""

    CONSTANT = "constant"
    ONE_CYCLE = "one_cycle"


class DecayScope(Enum):
    """Which parameters weight decay applies to; WEIGHTS leaves out biases and normalisation."""

    ALL = "all"
    WEIGHTS = "weights"


class Finish(Enum):
    """How long the nets that a search ends with are trained once more, before one of them is tested."""

    NONE = "none"
    SHORT = "short"
    FULL = "full"


FINISHING_FACTORS: Mapping[Finish, int] = {Finish.SHORT: 2, Finish.FULL: 5}
"""Epochs of a finishing training for each epoch of a training in the search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings:
    """Schedule, label smoothing and the like; ``nas.config.TrainingConfig`` inherits these fields.

    Their defaults cannot change: a journal leaves out what has its default, as those of older versions do.
    """

    schedule: Schedule = setting(
        Schedule.CONSTANT,
        help="Learning rate over the steps of a training: constant, or up to --learning-rate and down to almost 0.",
    )
    warmup: float = setting(
        PAPER_WARMUP, help="Share of all steps in which a one-cycle schedule goes up.", low=0.0, high=0.9
    )
    label_smoothing: float = setting(
        0.0, help="Share of each label that is spread over all classes in the training loss.", low=0.0, high=0.5
    )
    clip_norm: float = setting(
        0.0,
        help="Largest norm of all gradients together; longer ones are shortened to it.",
        low=0.0,
        high=1e6,
        empty="no limit",
    )
    decay_scope: DecayScope = setting(
        DecayScope.ALL, help="Parameters that weight decay applies to: all, or no biases and no normalisation."
    )
    ema: float = setting(
        0.0,
        help="Decay per step of an average of the weights, which is then what is validated and kept.",
        low=0.0,
        high=0.99999,
        empty="no average",
    )
    min_steps: int = setting(
        0,
        help="Fewest steps of one training: with few images it takes more epochs than --max-epochs.",
        low=0,
        high=10_000_000,
        empty="no floor",
    )

    def require_schedule(self) -> None:
        """Check that schedule and warm-up go together.

        Raises:
            ConfigError: a warm-up was chosen for a rate that is constant.
        """
        if self.schedule is Schedule.CONSTANT and self.warmup != PAPER_WARMUP:
            raise ConfigError("warmup", f"{self.warmup} needs schedule one-cycle; a constant one has no warm-up")


class TrainingLength(Protocol):
    """The settings that say how long a training is, in the domain and on the wire."""

    @property
    def max_epochs(self) -> int:
        """Most epochs, unless ``min_steps`` asks for more."""
        ...

    @property
    def min_steps(self) -> int:
        """Fewest steps; 0 for no floor."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per step."""
        ...


def settled_batch_size(train_images: int) -> int:
    """Return the images per step where their number is to choose, so that an epoch of few images has steps enough."""
    return next((size for limit, size in _BATCH_SIZES if train_images < limit), _LARGEST_BATCH)


def planned_epochs(training: TrainingLength, train_images: int) -> int:
    """Return how many epochs a training of so many images has if it is not stopped early.

    ``max_epochs``, or as many as it takes until their steps come to ``min_steps``.
    """
    if not training.min_steps:
        return training.max_epochs
    epoch_steps = max(1, -(-train_images // max(1, training.batch_size)))
    return max(training.max_epochs, -(-training.min_steps // epoch_steps))


def finishing_epochs(training: TrainingLength, finish: Finish, train_images: int) -> int:
    """Return the epochs of a finishing training that is not stopped early: ``MOST_EPOCHS`` at most, 0 for NONE."""
    return min(MOST_EPOCHS, FINISHING_FACTORS.get(finish, 0) * planned_epochs(training, train_images))
