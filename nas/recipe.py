# SPDX-License-Identifier: Apache-2.0
"""The part of a training's settings that the paper does not have (issue 12); each default leaves the paper's recipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nas.settings import ConfigError, setting

PAPER_WARMUP = 0.2
"""The share that needs no schedule to go with it, because it is the default."""


class Schedule(Enum):
    """How the learning rate goes from the first step of a training to the last."""

    CONSTANT = "constant"
    ONE_CYCLE = "one_cycle"


class DecayScope(Enum):
    """Which parameters weight decay applies to; WEIGHTS leaves out biases and normalisation."""

    ALL = "all"
    WEIGHTS = "weights"


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

    def require_schedule(self) -> None:
        """Check that schedule and warm-up go together.

        Raises:
            ConfigError: a warm-up was chosen for a rate that is constant.
        """
        if self.schedule is Schedule.CONSTANT and self.warmup != PAPER_WARMUP:
            raise ConfigError("warmup", f"{self.warmup} needs schedule one-cycle; a constant one has no warm-up")
