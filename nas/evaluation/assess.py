# SPDX-License-Identifier: Apache-2.0
"""Compute an ``Assessment`` from labels and probabilities, with scikit-learn where it has the figure.

Shapes: N images, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from nas.assessment import MAX_LISTED_CLASSES, Assessment, Baseline, ClassAssessment, Estimate
from nas.evaluation.intervals import (
    Floats,
    Ints,
    Mask,
    Resamples,
    draw_resamples,
    estimate_balanced,
    estimate_share,
    percentile_estimate,
)
from nas.evaluation.measures import (
    calibration_error,
    mcnemar,
    mcnemar_grouped,
    resampled_auc,
    resampled_macro_f1,
)


def assess(labels_N: Ints, probabilities_NK: Floats, *, groups_N: Ints | None, commonest: int, seed: int) -> Assessment:
    """Assess a net by its answers about one part of a data set.

    Args:
        labels_N: true classes, counted from 0.
        probabilities_NK: of the net, float64; each row sums to 1.
        groups_N: equal numbers for images of one patient; None if patients are not known.
        commonest: the commonest class of the training part, which is the baseline's constant answer.
        seed: seed of the resamples.
    """
    answers_N = probabilities_NK.argmax(axis=1)
    resamples = draw_resamples(labels_N, groups_N, seed=seed)
    classes = range(probabilities_NK.shape[1])
    aucs = [_estimate_auc(probabilities_NK[:, k], labels_N == k, resamples) for k in classes]
    is_listed = len(classes) <= MAX_LISTED_CLASSES
    f1 = float(metrics.f1_score(labels_N, answers_N, average="macro", zero_division=0))
    everything_N = np.ones(len(labels_N), np.bool_)
    is_enough = all(resamples.are_enough(labels_N == k) for k in np.unique(labels_N))
    accuracy = estimate_share(answers_N == labels_N, everything_N, resamples)
    assert accuracy is not None  # noqa: S101 - a part is not empty
    return Assessment(
        accuracy=accuracy,
        balanced_accuracy=estimate_balanced(labels_N, answers_N, resamples),
        macro_f1=percentile_estimate(f1, resampled_macro_f1(labels_N, answers_N, resamples), is_enough=is_enough),
        auc=_mean_auc(aucs, is_enough=is_enough),
        log_loss=float(metrics.log_loss(labels_N, probabilities_NK, labels=list(classes))),
        calibration_error=calibration_error(probabilities_NK, labels_N),
        baseline=_compare(labels_N, answers_N, commonest, resamples),
        classes=tuple(_assess_class(k, labels_N, answers_N, aucs[k], resamples) for k in classes if is_listed),
        confusion=_count_confusions(labels_N, answers_N, len(classes)) if is_listed else (),
        patients=resamples.weights_RG.shape[1] if resamples.is_grouped else 0,
    )


def _count_confusions(labels_N: Ints, answers_N: Ints, classes: int) -> tuple[tuple[int, ...], ...]:
    counts_KK = metrics.confusion_matrix(labels_N, answers_N, labels=list(range(classes)))
    return tuple(tuple(int(count) for count in row) for row in counts_KK)


def _assess_class(
    label: int, labels_N: Ints, answers_N: Ints, auc: tuple[Estimate, Floats] | None, resamples: Resamples
) -> ClassAssessment:
    is_label_N, is_answer_N = labels_N == label, answers_N == label
    return ClassAssessment(
        images=int(is_label_N.sum()),
        sensitivity=estimate_share(is_answer_N, is_label_N, resamples),
        specificity=estimate_share(~is_answer_N, ~is_label_N, resamples),
        precision=estimate_share(is_label_N, is_answer_N, resamples),
        auc=None if auc is None else auc[0],
    )


def _estimate_auc(scores_N: Floats, positive_N: Mask, resamples: Resamples) -> tuple[Estimate, Floats] | None:
    """Return the area under the curve and that of each resample; None if the class has all images or none."""
    if positive_N.all() or not positive_N.any():
        return None
    drawn_R = resampled_auc(scores_N, positive_N, resamples)
    is_enough = resamples.are_enough(positive_N) and resamples.are_enough(~positive_N)
    value = float(metrics.roc_auc_score(positive_N, scores_N))
    return percentile_estimate(value, drawn_R, is_enough=is_enough), drawn_R


def _mean_auc(aucs: list[tuple[Estimate, Floats] | None], *, is_enough: bool) -> Estimate | None:
    known = [found for found in aucs if found is not None]
    if not known:
        return None
    value = sum(estimate.value for estimate, _ in known) / len(known)
    return percentile_estimate(value, np.mean([drawn_R for _, drawn_R in known], axis=0), is_enough=is_enough)


def _compare(labels_N: Ints, answers_N: Ints, commonest: int, resamples: Resamples) -> Baseline:
    """Compare the net with always answering the commonest class."""
    constant_N: npt.NDArray[np.int64] = np.full_like(labels_N, commonest)
    net_N, baseline_N = answers_N == labels_N, constant_N == labels_N
    only_net, only_baseline = int((net_N & ~baseline_N).sum()), int((baseline_N & ~net_N).sum())
    is_grouped = resamples.is_grouped
    return Baseline(
        label=commonest,
        accuracy=float(baseline_N.mean()),
        balanced_accuracy=float(baseline_N.any() / len(np.unique(labels_N))),
        macro_f1=float(metrics.f1_score(labels_N, constant_N, average="macro", zero_division=0)),
        only_net=only_net,
        only_baseline=only_baseline,
        p_value=mcnemar_grouped(net_N, baseline_N, resamples.groups_N)
        if is_grouped
        else mcnemar(only_net, only_baseline),
    )
