# SPDX-License-Identifier: Apache-2.0
"""What the test part says about a net: figures with confidence intervals, beside baselines that need no net.

Figures are shares in [0, 1] unless stated otherwise. Intervals have 95 % confidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.child import ChildId, Evaluation

MAX_NEIGHBOUR_VALUES = 4096
"""Images of more values (64x64 grey) are not compared with their neighbours, which would take too long."""
MAX_NEIGHBOUR_IMAGES = 20_000
"""Most training images that are compared with."""
MAX_LISTED_CLASSES = 100
"""With more classes, figures per class and the confusion matrix are left out: they would not fit into an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and the ends of its interval; both ends are None where there are too few images for an interval."""

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
    """One class against all others; a figure is None where its divisor is 0.

    Attributes:
        images: number of images of this class.
        sensitivity: share of the images of this class that the net assigns to it.
        specificity: share of the images of other classes that the net does not assign to this class.
        precision: share of the images assigned to this class that belong to it.
        auc: area under the ROC curve of the probability of this class.
    """

    images: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    auc: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The baseline: always answering the commonest class of the training part.

    Attributes:
        label: that class, counted from 0.
        accuracy, balanced_accuracy, macro_f1: of the baseline.
        only_net: number of images that only the net gets right.
        only_baseline: number of images that only the baseline gets right.
        p_value: of McNemar's test: the probability of at least this difference if both were right equally often.
    """

    label: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    only_net: int
    only_baseline: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Nearest neighbours: the commonest class of the k training images whose pixels are closest (Euclidean distance).

    Attributes:
        k: number of neighbours, chosen by the accuracy on the validation part.
        train_images: number of training images compared with.
        accuracy, balanced_accuracy: on the same test part as the net's.
    """

    k: int
    train_images: int
    accuracy: Estimate
    balanced_accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All that is reported about one net on the test part.

    Attributes:
        accuracy, balanced_accuracy, macro_f1: means over images, over classes, over the classes' F1.
        auc: mean over the classes of one against the rest.
        log_loss: mean of -log p of the right class over images, in nats; never weighted by class.
        calibration_error: expected calibration error of the answer's probability, 15 bins.
        baseline: always answering the commonest class.
        classes: one per class; empty with more than ``MAX_LISTED_CLASSES`` classes.
        confusion: number of images by true class (row) and answer (column); as many rows as ``classes``.
        patients: number of patients, whose images were drawn together for the intervals; 0 if patients are not known.
        neighbours: nearest neighbours; None in journals of older versions, for nets beside the winner, and for images
            of more than ``MAX_NEIGHBOUR_VALUES`` values.
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
    neighbours: Neighbours | None = None

    def __post_init__(self) -> None:
        shares = (self.calibration_error, self.baseline.accuracy, self.baseline.balanced_accuracy)
        if not all(0 <= share <= 1 for share in (*shares, self.baseline.macro_f1, self.baseline.p_value)):
            raise ValueError("a share lies between 0 and 1")
        if math.isnan(self.log_loss) or self.log_loss < 0:
            raise ValueError(f"a log loss is not negative, and not {self.log_loss}")
        if any(len(row) != len(self.classes) for row in (self.confusion, *self.confusion)):
            raise ValueError("the confusion matrix has one row and one column per class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """A child and its result on the test part.

    Attributes:
        evaluation: loss and counts.
        assessment: None in journals of a server before 0.2.0, and where the training was only simulated.
    """

    child_id: ChildId
    evaluation: Evaluation
    assessment: Assessment | None = None
