# SPDX-License-Identifier: Apache-2.0
"""One net on other divisions of the same data: a retraining for each fold, and what all of them say together.

The test parts of the folds are disjoint and together they are the whole set, so their counts can be added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from client.assessment import class_name, confusion_table, estimate_text
from client.retraining import Retraining, make_request_id, retraining_config, tested_net, tested_plain
from client.text import count, fields, percent, table
from nas.api.v1 import search_pb2

CAUTION = (
    "The search that chose this net has seen most of these images; only the weights are new. "
    "So this says how far the figures depend on the division, and it replaces no independent test set."
)

_FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "auc": "mean AUC"}
"""Of an assessment, and what people call them."""
_GUESSED_AUC = 0.5
"""Of an answer that is always the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The answers of all folds for all images of the set.

    Attributes:
        confusion: images of each true class (row) by the net's answer (column).
        baseline_correct: images that always answering the commonest class of a fold's training part is right for.
        only_net: images that the net is right for and that answer is not.
        only_baseline: the other way round.
    """

    confusion: tuple[tuple[int, ...], ...]
    baseline_correct: int
    only_net: int
    only_baseline: int

    @property
    def images(self) -> int:
        """Of the whole set."""
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        """Images that the net of their fold is right for."""
        return sum(row[label] for label, row in enumerate(self.confusion))

    def sensitivity(self, label: int) -> float:
        """Share of the images of a class that are found."""
        return self.confusion[label][label] / sum(self.confusion[label])


def fold_retrainings(search: search_pb2.Search, child: search_pb2.Child, folds: int) -> Iterator[Retraining]:
    """Make the retraining of a child on each fold, the first fold first."""
    notation = child.architecture.notation
    for fold in range(1, folds + 1):
        config = retraining_config(search, notation)
        config.folds, config.fold = folds, fold
        yield Retraining(
            what=f"{child.child_id} on fold {fold} of {folds}",
            config=config,
            request_id=make_request_id(search.search_id, child.child_id, notation, f"fold {fold} of {folds}"),
        )


def pool(trained: Sequence[search_pb2.Search]) -> Pooled | None:
    """Add up the answers of all folds; None if one of them has no confusion matrix."""
    assessments = [_assessment(search) for search in trained]
    matrices = [[tuple(row.counts) for row in found.confusion] for found in assessments]
    if not all(matrices):
        return None
    return Pooled(
        confusion=tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*matrices, strict=True)),
        baseline_correct=sum(
            search.dataset.test_counts[found.baseline.label] for search, found in zip(trained, assessments, strict=True)
        ),
        only_net=sum(found.baseline.only_net_count for found in assessments),
        only_baseline=sum(found.baseline.only_baseline_count for found in assessments),
    )


def crossvalidation_report(trained: Sequence[search_pb2.Search]) -> str:
    """Print one line per fold, the spread of the figures, and the figures of all folds together."""
    parts = [table(_HEADINGS, [_cells(search) for search in trained], right=frozenset({"FOLD", "IMAGES", "PATIENTS"}))]
    spread = [(_FIGURES[name], *map(percent, values.values())) for name, values in _spread(trained).items()]
    if spread:
        parts.append(table(("FIGURE", "MEAN", "DEVIATION", "LOWEST", "HIGHEST", "BASELINE"), spread))
    pooled = pool(trained)
    if pooled is not None:
        parts += _pooled_parts(pooled, trained[0].dataset.class_names)
    return "\n\n".join(parts)


_HEADINGS = (
    *("FOLD", "IMAGES", "PATIENTS", "ACCURACY", "BASELINE", "BALANCED ACCURACY", "MACRO F1", "MEAN AUC", "SEARCH"),
)


def _cells(search: search_pb2.Search) -> tuple[str, ...]:
    found, dataset = _assessment(search), search.dataset
    accuracy, *others = (
        estimate_text(getattr(found, name)) if found.HasField(name) else "-"  # type: ignore[arg-type]
        for name in _FIGURES
    )
    baseline = percent(found.baseline.accuracy) if found.HasField("baseline") else "-"
    part = (str(search.config.fold), str(sum(dataset.test_counts)), str(dataset.patients.test_count or "-"))
    return (*part, accuracy, baseline, *others, search.search_id)


def _spread(trained: Sequence[search_pb2.Search]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation (of a sample) and extremes over the folds of each figure that all of them have."""
    found = [_assessment(search) for search in trained]
    spread = {}
    for name in _FIGURES:
        if all(one.HasField(name) for one in found):  # type: ignore[arg-type]
            values = [getattr(one, name).value for one in found]
            baseline = [_GUESSED_AUC if name == "auc" else getattr(one.baseline, name) for one in found]
            spread[name] = {
                "mean": mean(values),
                "deviation": stdev(values),
                "lowest": min(values),
                "highest": max(values),
                "baseline": mean(baseline),
            }
    return spread


def _pooled_parts(pooled: Pooled, names: Sequence[str]) -> Iterator[str]:
    labels = range(len(pooled.confusion))
    images = count(pooled.images, "image")
    yield "All folds together:"
    yield fields(
        [
            ("accuracy", f"{percent(pooled.correct / pooled.images)}, {pooled.correct} of {images}"),
            ("baseline", f"{percent(pooled.baseline_correct / pooled.images)}, {pooled.baseline_correct} of {images}"),
            (
                "difference",
                f"{count(pooled.only_net, 'image')} only the nets get right, {pooled.only_baseline} only the baseline",
            ),
        ]
    )
    rows = [
        (class_name(names, label), str(sum(pooled.confusion[label])), percent(pooled.sensitivity(label)))
        for label in labels
    ]
    yield table(("CLASS", "IMAGES", "SENSITIVITY"), rows, right=frozenset({"IMAGES"}))
    yield from confusion_table(pooled.confusion, names)


def _assessment(search: search_pb2.Search) -> search_pb2.Assessment:
    """What the test part says about the net of a fold; empty where the training was only simulated."""
    return tested_net(search).assessment


def crossvalidation_document(
    search: search_pb2.Search, role: str, child: search_pb2.Child, trained: Sequence[search_pb2.Search]
) -> dict[str, Any]:
    """Everything for programs; counts of 64 bits are strings, as in every message."""
    pooled = pool(trained)
    return {
        "search_id": search.search_id,
        "dataset": search.config.dataset,
        "class_names": list(search.dataset.class_names),
        "role": role,
        "child_id": child.child_id,
        "notation": child.architecture.notation,
        "folds": [_plain(one) for one in trained],
        "figures": _spread(trained),
        "pooled": None if pooled is None else _plain_pooled(pooled),
        "caution": CAUTION,
    }


def _plain(search: search_pb2.Search) -> dict[str, object]:
    return {
        "fold": search.config.fold,
        "search_id": search.search_id,
        "test_counts": [str(images) for images in search.dataset.test_counts],
        "test": tested_plain(search),
    }


def _plain_pooled(pooled: Pooled) -> dict[str, object]:
    return {
        "image_count": str(pooled.images),
        "correct_count": str(pooled.correct),
        "accuracy": pooled.correct / pooled.images,
        "baseline_correct_count": str(pooled.baseline_correct),
        "baseline_accuracy": pooled.baseline_correct / pooled.images,
        "only_net_count": str(pooled.only_net),
        "only_baseline_count": str(pooled.only_baseline),
        "sensitivities": [pooled.sensitivity(label) for label in range(len(pooled.confusion))],
        "confusion": [{"counts": [str(images) for images in row]} for row in pooled.confusion],
    }
