# SPDX-License-Identifier: Apache-2.0
"""What the test part says about a net, as text: never an accuracy without the answer that needs no net beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from client.text import count, fields, percent, table
from nas.api.v1 import search_pb2
from nas.text import escape

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
    baseline = found.baseline
    rows = [
        ("accuracy", estimate_text(found.accuracy), percent(baseline.accuracy)),
        ("balanced accuracy", estimate_text(found.balanced_accuracy), percent(baseline.balanced_accuracy)),
        ("macro F1", estimate_text(found.macro_f1), percent(baseline.macro_f1)),
        ("mean AUC", _optional(found, "auc"), percent(0.5)),
    ]
    return table(("FIGURE", "NET", f"ALWAYS {escape(constant)!r}"), rows)


def _summary_fields(found: search_pb2.Assessment) -> Iterator[tuple[str, str]]:
    baseline = found.baseline
    yield (
        "McNemar",
        f"p = {baseline.p_value:.2g}; {count(baseline.only_net_count, 'image')} only the net gets right, "
        f"{baseline.only_baseline_count} only the constant answer",
    )
    yield "log loss", f"{found.log_loss:.4f} nats an image"
    yield "calibration", f"expected error {percent(found.calibration_error)}"


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
