# SPDX-License-Identifier: Apache-2.0
"""What the test part says about a net, as text: never an accuracy without the answer that needs no net beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from client.text import count, fields, lapse, percent, table
from nas.api.v1 import search_pb2
from nas.assessment import MAX_NEIGHBOUR_VALUES
from nas.text import escape

_BALANCED = search_pb2.SELECTION_METRIC_BALANCED_ACCURACY
_WIDEST_CONFUSION = 12
"""Classes of which the confusion matrix is printed; a terminal has no room for more. JSON has all of them."""


def assessment_reports(search: search_pb2.Search) -> Iterator[str]:
    """Print a report for each net that was evaluated on the test part and says more than its counts."""
    for assessed in search.assessed:
        if assessed.HasField("assessment"):
            yield _report(assessed, search)


def estimate_text(estimate: search_pb2.Estimate) -> str:
    """Print ``92.11 % (87.00-95.42)``, or without the interval if there is none."""
    if not estimate.HasField("low"):
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({100 * estimate.low:.2f}-{100 * estimate.high:.2f})"


def neighbours_text(search: search_pb2.Search) -> str:
    """Print how nearest neighbours do on the same images, or why they were not asked; empty if neither is known."""
    found, shape = _of_winner(search), search.dataset.shape
    if found is None:
        return ""
    if found.HasField("neighbours"):
        neighbours = found.neighbours
        balanced = percent(neighbours.balanced_accuracy.value)
        return f"{estimate_text(neighbours.accuracy)}, balanced accuracy {balanced}, k = {neighbours.k}"
    values = shape.channels * shape.height * shape.width
    is_left_out = values > MAX_NEIGHBOUR_VALUES
    return f"left out: images have {values} values, more than {MAX_NEIGHBOUR_VALUES}" if is_left_out else ""


def found_sentence(search: search_pb2.Search) -> str:
    """Say in one sentence what a search that has succeeded found, beside what needs no net."""
    assessment, is_balanced = _of_winner(search), search.config.selection_metric == _BALANCED
    metric = "balanced accuracy" if is_balanced else "accuracy"
    plain = search.test_evaluation.balanced_accuracy if is_balanced else search.test_evaluation.accuracy
    share, beside = percent(plain), ""
    if assessment is not None:
        share = estimate_text(assessment.balanced_accuracy if is_balanced else assessment.accuracy)
        if assessment.HasField("neighbours"):
            neighbours = assessment.neighbours
            their = neighbours.balanced_accuracy if is_balanced else neighbours.accuracy
            beside = f"; nearest neighbours reach {percent(their.value)} on the same images"
    parameters = f"{search.incumbent.architecture.param_count:,} parameters"
    return f"Found a net of {parameters}: test {metric} {share} in {lapse(search.running_time)}{beside}."


def _of_winner(search: search_pb2.Search) -> search_pb2.Assessment | None:
    found = (one.assessment for one in search.assessed if one.child_id == search.incumbent.child_id)
    return next((one for one in found if one.HasField("accuracy")), None)


def _report(assessed: search_pb2.AssessedChild, search: search_pb2.Search) -> str:
    role = "winner" if assessed.child_id == search.incumbent.child_id else "smallest"
    found, names = assessed.assessment, search.dataset.class_names
    parts = [
        f"Child {assessed.child_id} ({role}) on the test part: {_part_text(assessed)}",
        _summary_table(found, class_name(names, found.baseline.label)),
        fields(_summary_fields(found)),
    ]
    if found.classes:
        parts.append(_class_table(found, names))
    parts += confusion_table([tuple(row.counts) for row in found.confusion], names)
    return "\n\n".join(parts)


def _part_text(assessed: search_pb2.AssessedChild) -> str:
    images = count(sum(assessed.evaluation.total_counts), "image")
    patients = assessed.assessment.patient_count
    drawn = f"{images} of {count(patients, 'patient')}" if patients else images
    return f"{drawn}; intervals hold with 95 % confidence"


def _summary_table(found: search_pb2.Assessment, constant: str) -> str:
    baseline, neighbours = found.baseline, found.neighbours
    headings = ("FIGURE", "NET", f"ALWAYS {escape(constant)!r}", f"{neighbours.k} NEAREST")
    accuracies = (percent(neighbours.accuracy.value), percent(neighbours.balanced_accuracy.value))
    rows = [
        ("accuracy", estimate_text(found.accuracy), percent(baseline.accuracy), accuracies[0]),
        (
            "balanced accuracy",
            estimate_text(found.balanced_accuracy),
            percent(baseline.balanced_accuracy),
            accuracies[1],
        ),
        ("macro F1", estimate_text(found.macro_f1), percent(baseline.macro_f1), "-"),
        ("mean AUC", _optional(found, "auc"), percent(0.5), "-"),
    ]
    columns = 4 if found.HasField("neighbours") else 3
    return table(headings[:columns], [row[:columns] for row in rows])


def _summary_fields(found: search_pb2.Assessment) -> Iterator[tuple[str, str]]:
    baseline = found.baseline
    yield (
        "McNemar",
        f"p = {baseline.p_value:.2g}; {count(baseline.only_net_count, 'image')} only the net gets right, "
        f"{baseline.only_baseline_count} only the constant answer",
    )
    yield "log loss", f"{found.log_loss:.4f} nats an image"
    yield "calibration", f"expected error {percent(found.calibration_error)}"
    if found.HasField("neighbours"):
        yield "neighbours", f"{found.neighbours.k} of {found.neighbours.train_count} training images, by pixels"


def _class_table(found: search_pb2.Assessment, names: Sequence[str]) -> str:
    headings = ("CLASS", "IMAGES", "SENSITIVITY", "SPECIFICITY", "PRECISION", "AUC")
    rows = [
        (
            class_name(names, label),
            str(one.image_count),
            *(_optional(one, figure) for figure in ("sensitivity", "specificity", "precision", "auc")),
        )
        for label, one in enumerate(found.classes)
    ]
    return table(headings, rows, right=frozenset({"IMAGES"}))


def confusion_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Iterator[str]:
    """Print images of each true class by the net's answer, if there are any and a terminal has room for them."""
    if not 0 < len(confusion) <= _WIDEST_CONFUSION:
        return
    labels = [class_name(names, label) for label in range(len(confusion))]
    headings = ("IMAGES OF", *(f"AS {escape(label)}" for label in labels))
    rows = [(label, *map(str, row)) for label, row in zip(labels, confusion, strict=True)]
    yield table(headings, rows, right=frozenset(headings[1:]))


def _optional(message: search_pb2.Assessment | search_pb2.ClassAssessment, figure: str) -> str:
    return estimate_text(getattr(message, figure)) if message.HasField(figure) else "-"  # type: ignore[arg-type]


def class_name(names: Sequence[str], label: int) -> str:
    """Name of a class, or its number if it has none."""
    return names[label] if 0 <= label < len(names) else str(label)
