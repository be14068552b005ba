# SPDX-License-Identifier: Apache-2.0
"""What the test part says about a net, with what it cannot say: intervals, and the answer that needs no net.

Figures are shares in [0, 1] unless something else is said. Intervals hold with 95 % confidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.child import ChildId, Evaluation

MAX_LISTED_CLASSES = 100
"""Of more classes neither figures nor the confusion matrix are kept: they would not fit into an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its interval; the ends are None where the images do not allow one."""

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        given = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(0 <= number <= 1 for number in given):
            raise ValueError(f"a share lies between 0 and 1, not {given}")
        if (self.low is None) is not (self.high is None):
            raise ValueError("an interval has two ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAssessment:
    """One class against all others; None where there is nothing to divide by.

    Attributes:
        images: of this class.
        sensitivity: share of them that the net finds.
        specificity: share of all other images that the net does not take for this class.
        precision: share of the net's answers for this class that are right.
        auc: area under the ROC curve of the class's probability.
    """

    images: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    auc: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Always answering the class that is commonest in the training part.

    Attributes:
        label: that class, counted from 0.
        accuracy, balanced_accuracy, macro_f1: of that answer.
        only_net: images that only the net gets right.
        only_baseline: images that only the baseline gets right.
        p_value: of McNemar's test; how likely a difference this large is if both are right equally often.
    """

    label: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    only_net: int
    only_baseline: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All that is reported about one net on the test part.

    Attributes:
        accuracy, balanced_accuracy, macro_f1: means over images, over classes, over the classes' F1.
        auc: mean over the classes of one against the rest.
        log_loss: mean of -log p of the right class, in nats; unlike a training's loss never weighted.
        calibration_error: expected calibration error of the answer's probability, 15 bins.
        baseline: what needs no net.
        classes: one a class, or none for more than ``MAX_LISTED_CLASSES``.
        confusion: images by true class (row) and answer (column); as many rows as ``classes``.
        patients: groups of images that belong together and were drawn together for the intervals; 0 if there are none.
    """

    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    auc: Estimate | None
    log_loss: float
    calibration_error: float
    baseline: Baseline
    classes: tuple[ClassAssessment, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    patients: int = 0

    def __post_init__(self) -> None:
        shares = (self.calibration_error, self.baseline.accuracy, self.baseline.balanced_accuracy)
        if not all(0 <= share <= 1 for share in (*shares, self.baseline.macro_f1, self.baseline.p_value)):
            raise ValueError("a share lies between 0 and 1")
        if math.isnan(self.log_loss) or self.log_loss < 0:
            raise ValueError(f"a log loss is not negative, and not {self.log_loss}")
        if any(len(row) != len(self.classes) for row in (self.confusion, *self.confusion)):
            raise ValueError("the confusion matrix has a row and a column a class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """A child and how it did on the test part.

    Attributes:
        assessment: None from a server before 0.2.0, and where the training was only simulated.
    """

    child_id: ChildId
    evaluation: Evaluation
    assessment: Assessment | None = None
