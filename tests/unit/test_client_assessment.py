# SPDX-License-Identifier: Apache-2.0
"""The report on the test part, character for character: no figure without its interval and the baseline's."""

from __future__ import annotations

import search_records as records

from client.assessment import assessment_reports, estimate_text
from nas.api.v1 import search_pb2

REPORT = """\
Child 1-3 (winner) on the test part: 20 images of 5 patients; intervals hold with 95 % confidence

FIGURE             NET                    ALWAYS 'no'
accuracy           85.00 % (64.00-94.80)  60.00 %
balanced accuracy  85.42 % (63.10-95.00)  50.00 %
macro F1           84.65 %                37.50 %
mean AUC           -                      50.00 %

McNemar      p = 0.062; 7 images only the net gets right, 2 only the constant answer
log loss     0.5000 nats an image
calibration  expected error 12.50 %

CLASS  IMAGES  SENSITIVITY            SPECIFICITY            PRECISION              AUC
no         12  83.33 % (40.00-97.50)  87.50 % (52.90-97.80)  90.91 % (62.30-98.40)  90.00 % (75.00-100.00)
yes         8  87.50 % (52.90-97.80)  83.33 % (40.00-97.50)  -                      -

IMAGES OF  AS no  AS yes
no            10       2
yes            1       7"""


def _estimate(value: float, low: float | None = None, high: float | None = None) -> search_pb2.Estimate:
    return search_pb2.Estimate(value=value, low=low, high=high)


def _search() -> search_pb2.Search:
    no, yes = _estimate(10 / 12, 0.4, 0.975), _estimate(7 / 8, 0.529, 0.978)
    found = records.search()
    found.assessed.add(
        child_id="1-3",
        evaluation=records.TEST,
        assessment=search_pb2.Assessment(
            accuracy=_estimate(0.85, 0.64, 0.948),
            balanced_accuracy=_estimate(41 / 48, 0.631, 0.95),
            macro_f1=_estimate(0.8465),
            log_loss=0.5,
            calibration_error=0.125,
            baseline=search_pb2.Baseline(
                accuracy=0.6,
                balanced_accuracy=0.5,
                macro_f1=0.375,
                only_net_count=7,
                only_baseline_count=2,
                p_value=0.0625,
            ),
            classes=[
                search_pb2.ClassAssessment(
                    image_count=12,
                    sensitivity=no,
                    specificity=yes,
                    precision=_estimate(10 / 11, 0.623, 0.984),
                    auc=_estimate(0.9, 0.75, 1.0),
                ),
                search_pb2.ClassAssessment(image_count=8, sensitivity=yes, specificity=no),
            ],
            confusion=[search_pb2.ConfusionRow(counts=[10, 2]), search_pb2.ConfusionRow(counts=[1, 7])],
            patient_count=5,
        ),
    )
    found.assessed.add(child_id="1-1", evaluation=records.TEST)
    return found


def test_the_report() -> None:
    """Of the winner all figures; of the other child, whose test was only simulated, none."""
    assert [REPORT] == list(assessment_reports(_search()))


def test_neighbours_stand_beside_the_net() -> None:
    """Where they were asked; they have no F1 and no AUC."""
    search = _search()
    search.assessed[0].assessment.neighbours.CopyFrom(
        search_pb2.Neighbours(k=5, train_count=100, accuracy=_estimate(0.8, 0.6, 0.9), balanced_accuracy=_estimate(0.7))
    )

    (report,) = assessment_reports(search)

    lines = report.splitlines()
    assert [
        "FIGURE             NET                    ALWAYS 'no'  5 NEAREST",
        "accuracy           85.00 % (64.00-94.80)  60.00 %      80.00 %",
        "balanced accuracy  85.42 % (63.10-95.00)  50.00 %      70.00 %",
        "macro F1           84.65 %                37.50 %      -",
        "mean AUC           -                      50.00 %      -",
    ] == lines[2:7]
    assert "neighbours   5 of 100 training images, by pixels" in lines


def test_the_smallest_child_is_named_so() -> None:
    """Whoever is not the winner was evaluated as the smallest."""
    search = _search()
    search.assessed[0].child_id = "1-4"

    (report,) = assessment_reports(search)

    assert report.startswith("Child 1-4 (smallest) on the test part: 20 images of 5 patients;")


def test_without_patients_and_with_many_classes() -> None:
    """Images are then the trials, and a matrix too wide for a terminal stays in the JSON."""
    search = _search()
    assessment = search.assessed[0].assessment
    assessment.patient_count = 0
    del assessment.confusion[:]
    assessment.confusion.extend(search_pb2.ConfusionRow(counts=[0] * 13) for _ in range(13))

    (report,) = assessment_reports(search)

    assert ": 20 images; intervals hold" in report
    assert "IMAGES OF" not in report


def test_a_class_name_cannot_steer_the_terminal() -> None:
    """Names of folders are anybody's text."""
    search = _search()
    search.dataset.class_names[0] = "no\x1b[31m"

    (report,) = assessment_reports(search)

    assert "\x1b" not in report


def test_estimates() -> None:
    """An interval that the images do not allow is not printed as one of no width."""
    assert "50.00 %" == estimate_text(_estimate(0.5))
    assert "50.00 % (0.00-100.00)" == estimate_text(_estimate(0.5, 0.0, 1.0))
