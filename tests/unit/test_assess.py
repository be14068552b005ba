# SPDX-License-Identifier: Apache-2.0
"""What a part tells about a net: figures by hand, intervals that cover the truth, a baseline that needs no net."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from nas.assessment import MAX_LISTED_CLASSES, Assessment, Estimate
from nas.evaluation.assess import assess
from nas.evaluation.intervals import average, draw_resamples, estimate_share, wilson
from nas.evaluation.measures import calibration_error, mcnemar, mcnemar_grouped, resampled_auc

Ints = npt.NDArray[np.int64]

LABELS = np.array([0] * 8 + [1] * 4 + [2] * 2)
ANSWERS = np.array([0] * 6 + [1] * 2 + [1] * 3 + [0] + [2] + [1])


def _probabilities(answers_N: Ints, classes: int = 3) -> npt.NDArray[np.float64]:
    """Sure of each answer, but not quite."""
    found = np.full((len(answers_N), classes), 0.2 / (classes - 1))
    found[np.arange(len(answers_N)), answers_N] = 0.8
    return found


def _assess(labels: Ints = LABELS, answers: Ints = ANSWERS, groups: Ints | None = None) -> Assessment:
    return assess(labels, _probabilities(answers), groups_N=groups, commonest=0, seed=1)


def test_figures_by_hand() -> None:
    """14 images in three classes, 10 of them right."""
    found = _assess()

    assert pytest.approx(10 / 14) == found.accuracy.value
    assert pytest.approx((6 / 8 + 3 / 4 + 1 / 2) / 3) == found.balanced_accuracy.value
    assert pytest.approx((12 / 15 + 6 / 10 + 2 / 3) / 3) == found.macro_f1.value
    assert pytest.approx((10 * -math.log(0.8) + 4 * -math.log(0.1)) / 14) == found.log_loss
    assert ((6, 2, 0), (1, 3, 0), (0, 1, 1)) == found.confusion
    one = found.classes[1]
    assert one.sensitivity is not None
    assert one.specificity is not None
    assert one.precision is not None
    assert [4, 3 / 4, 7 / 10, 3 / 6] == [
        one.images,
        one.sensitivity.value,
        one.specificity.value,
        one.precision.value,
    ]
    assert 0 == found.patients


def test_the_baseline_stands_beside_the_net() -> None:
    """Always answering class 0 is right 8 times; the net alone 4 times, the baseline alone twice."""
    baseline = _assess().baseline

    assert (0, 8 / 14, 1 / 3) == (baseline.label, baseline.accuracy, baseline.balanced_accuracy)
    assert pytest.approx(16 / 22 / 3) == baseline.macro_f1
    assert (4, 2) == (baseline.only_net, baseline.only_baseline)
    assert pytest.approx(2 * (1 + 6 + 15) / 64) == baseline.p_value


@pytest.mark.parametrize(("one", "other", "expected"), [(0, 0, 1.0), (3, 3, 1.0), (10, 0, 2 / 1024), (0, 1, 1.0)])
def test_mcnemar_is_the_sign_test(one: int, other: int, expected: float) -> None:
    """Exact: how likely so uneven a division of the disagreements is when each falls to either side."""
    assert pytest.approx(expected) == mcnemar(one, other)


@pytest.mark.parametrize(("one", "other"), [(1, 0), (7, 3), (12, 12), (25, 40), (160, 101), (1500, 1603), (4600, 5000)])
def test_mcnemar_agrees_with_integer_arithmetic(one: int, other: int) -> None:
    """Twice the lower tail of the binomial distribution, counted in whole numbers, to 1e-12."""
    trials, tail, ways = one + other, 0, 1
    for fewer in range(min(one, other) + 1):
        tail += ways
        ways = ways * (trials - fewer) // (fewer + 1)  # the next binomial coefficient, without a remainder
    assert math.comb(trials, min(one, other) + 1) == ways

    assert pytest.approx(min(1.0, 2 * tail / 2**trials), rel=1e-12, abs=1e-12) == mcnemar(one, other)
    assert mcnemar(one, other) == mcnemar(other, one)


def test_mcnemar_of_patients_knows_fewer_than_of_images() -> None:
    """Four alike images of each patient say no more than one of each."""
    net = np.repeat(np.arange(12) < 9, 4)
    groups = np.repeat(np.arange(12), 4)

    alike = mcnemar_grouped(net, ~net, groups)

    assert pytest.approx(mcnemar_grouped(net[::4], ~net[::4], groups[::4])) == alike
    assert mcnemar(int(net.sum()), int((~net).sum())) < alike


def test_wilson_by_the_book() -> None:
    """8 of 10, and the two ends, where the usual interval has no width (Wilson 1927)."""
    assert pytest.approx((0.4901625, 0.9433178)) == wilson(0.8, 10)
    assert pytest.approx((0.7224672, 1.0)) == wilson(1.0, 10)
    assert pytest.approx((0.0, 0.2775328)) == wilson(0.0, 10)


def test_an_average_is_surer_than_its_parts() -> None:
    """Square and add: three equal estimates give an interval narrower by the root of three."""
    one = Estimate(value=0.5, low=0.3, high=0.8)

    found = average([one, one, one])

    assert found.low is not None
    assert found.high is not None
    assert pytest.approx((0.5, 0.2 / 3**0.5, 0.3 / 3**0.5)) == (found.value, 0.5 - found.low, found.high - 0.5)


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_intervals_cover_the_truth(share: float) -> None:
    """Of 200 parts with 40 patients whose four images are alike, about 95 % of the intervals hold the true share."""
    random = np.random.default_rng(3)
    labels = np.zeros(160, np.int64)
    groups = np.repeat(np.arange(40), 4)
    covered = 0
    for seed in range(200):
        hits = np.repeat(random.random(40) < share, 4)
        found = estimate_share(hits, labels == 0, draw_resamples(labels, groups, seed=seed, resamples=300))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= share <= found.high

    assert 0.89 <= covered / 200 <= 0.99


def test_few_patients_are_trials_of_their_own() -> None:
    """All right, for three patients with four images each: what three trials can say, and not twelve."""
    labels = np.zeros(12, np.int64)
    resamples = draw_resamples(labels, np.repeat(np.arange(3), 4), seed=0)

    found = estimate_share(labels == 0, labels == 0, resamples)

    assert found is not None
    assert (1.0, *wilson(1.0, 3)) == (found.value, found.low, found.high)


@pytest.mark.parametrize(("patients", "has_interval"), [(9, False), (10, True)])
def test_few_patients_give_no_interval_of_what_is_no_share(patients: int, has_interval: bool) -> None:
    """Macro F1 and AUC need ten patients of every class that they look at; the shares beside them have an interval."""
    counts = np.array([20, 20, patients])
    labels = np.repeat(np.repeat(np.arange(3), counts), 2)
    groups = np.repeat(np.arange(counts.sum()), 2)
    shares = np.random.default_rng(5).dirichlet(np.ones(3), len(labels)) + np.eye(3)[labels] / 2

    found = assess(labels, shares / shares.sum(axis=1, keepdims=True), groups_N=groups, commonest=0, seed=1)

    assert found.auc is not None
    of_classes = [one.auc.low is not None for one in found.classes if one.auc is not None]
    assert [has_interval, has_interval] == [one.low is not None for one in (found.macro_f1, found.auc)]
    assert [True, True, has_interval] == of_classes
    assert found.balanced_accuracy.low is not None


def test_every_resample_has_every_class() -> None:
    """Patients are drawn within the rarest of their classes, so a class of one patient is always there."""
    labels = np.array([0] * 20 + [1, 0])
    groups = np.array([*np.repeat(np.arange(10), 2), 10, 10])

    found = draw_resamples(labels, groups, seed=0)

    assert found.total(labels == 1).min() == 1
    assert {22.0} == set(found.total(labels >= 0).tolist())


def test_auc_of_weighted_images() -> None:
    """Ties count half: with each image once it is scikit-learn's, with resamples that of the images repeated."""
    random = np.random.default_rng(5)
    scores, positive = random.integers(0, 6, 30) / 6, random.random(30) < 0.4
    resamples = draw_resamples(positive.astype(np.int64), None, seed=2, resamples=3)

    found = resampled_auc(scores, positive, resamples)

    for area, weights in zip(found, resamples.weights_RG.astype(int), strict=True):
        pairs = [
            (above > below) + (above == below) / 2
            for above in np.repeat(scores[positive], weights[positive])
            for below in np.repeat(scores[~positive], weights[~positive])
        ]
        assert pytest.approx(np.mean(pairs)) == area


def test_calibration_by_hand() -> None:
    """Eight answers at 80 %, of which six are right: 5 points too sure; one at 99 % that is wrong."""
    probabilities = np.array([[0.8, 0.2]] * 8 + [[0.99, 0.01]])
    labels = np.array([0] * 6 + [1] * 2 + [1])

    assert pytest.approx((8 * 0.05 + 0.99) / 9) == calibration_error(probabilities, labels)


def test_a_class_that_is_never_answered_has_no_precision() -> None:
    """A constant answer, as the published baseline gives it: there is nothing to divide by, and no AUC to speak of."""
    found = _assess(answers=np.zeros_like(LABELS))

    assert found.classes[2].precision is None
    assert found.auc is not None
    assert 0.5 == found.auc.value
    assert (found.baseline.accuracy, 1.0) == (found.accuracy.value, found.baseline.p_value)


def test_the_same_part_gives_the_same_assessment() -> None:
    """Resampling is seeded."""
    groups = np.arange(len(LABELS)) // 2

    assert _assess(groups=groups) == _assess(groups=groups)
    assert 7 == _assess(groups=groups).patients


def test_many_classes_fit_into_an_event() -> None:
    """Beyond a hundred classes only what is about all of them is kept."""
    labels = np.arange(2 * (MAX_LISTED_CLASSES + 1)) % (MAX_LISTED_CLASSES + 1)

    found = assess(labels, _probabilities(labels, MAX_LISTED_CLASSES + 1), groups_N=None, commonest=0, seed=0)

    assert ((), (), 1.0) == (found.classes, found.confusion, found.accuracy.value)
