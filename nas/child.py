# SPDX-License-Identifier: Apache-2.0
"""A child's identity and what is measured about it; counts stay integers so that ranking is exact."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from nas.config import SelectionMetric


@dataclass(frozen=True, slots=True, order=True)
class ChildId:
    """``x-y``: the y-th child of iteration x (paper Fig. 4); ordered as numbers, so 2-2 comes before 2-10."""

    iteration: int
    index: int

    def __post_init__(self) -> None:
        if self.iteration < 0 or self.index < 1:
            raise ValueError(f"a child id is x-y with x from 0 and y from 1, not {self}")

    def __str__(self) -> str:
        return f"{self.iteration}-{self.index}"

    @classmethod
    def parse(cls, text: str) -> ChildId:
        """Read ``x-y``.

        Raises:
            ValueError: the text is no child id.
        """
        match = re.fullmatch(r"(0|[1-9][0-9]{0,8})-([1-9][0-9]{0,8})", text, flags=re.ASCII)
        if match is None:
            raise ValueError(f"a child id is x-y with x from 0 and y from 1, not {text!r}")
        return cls(int(match[1]), int(match[2]))


INITIAL_CHILD = ChildId(0, 1)
"""The initial model: iteration 0, proposed, and trained only if no iteration may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well a net classified one part of a data set.

    Attributes:
        loss: mean cross-entropy in nats per image.
        correct: images classified correctly, one count per class.
        total: images seen, one count per class.
    """

    loss: float
    correct: tuple[int, ...]
    total: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.correct) != len(self.total) or not any(self.total):
            raise ValueError("correct and total need one count a class, and at least one image")
        if any(not 0 <= c <= t for c, t in zip(self.correct, self.total, strict=True)):
            raise ValueError("correct must lie between 0 and total in every class")

    @property
    def accuracy(self) -> Fraction:
        """Share of images classified correctly, in [0, 1]."""
        return Fraction(sum(self.correct), sum(self.total))

    @property
    def balanced_accuracy(self) -> Fraction:
        """Mean over the classes that occur of each class's share of correct images, in [0, 1]."""
        shares = [Fraction(c, t) for c, t in zip(self.correct, self.total, strict=True) if t]
        return sum(shares, Fraction(0)) / len(shares)

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number that can be compared."""
        return math.isfinite(self.loss)

    def value(self, metric: SelectionMetric) -> Fraction:
        """The figure that ``metric`` names."""
        return self.balanced_accuracy if metric is SelectionMetric.BALANCED_ACCURACY else self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """One finished epoch of one training.

    Attributes:
        epoch: counted from 1.
        training_loss: mean cross-entropy over the epoch's training images, each as seen by the weights of its step.
        validation: measured after the epoch's last step.
        seconds: duration of the epoch, validation included.
        images_per_second: training images divided by the training time of the epoch, without validation.
    """

    epoch: int
    training_loss: float
    validation: Evaluation
    seconds: float
    images_per_second: float
