# SPDX-License-Identifier: Apache-2.0
"""What a cross-validation prints, character for character, and how it adds up."""

from __future__ import annotations

import search_records as records

from client.crossvalidation import crossvalidation_document, crossvalidation_report, fold_retrainings, pool
from nas.api.v1 import search_pb2

CONFUSIONS = (((10, 2), (1, 7)), ((12, 0), (2, 6)), ((11, 1), (4, 3)))
REPORT = """\
FOLD  IMAGES  PATIENTS  ACCURACY               BASELINE  BALANCED ACCURACY      MACRO F1  MEAN AUC  SEARCH
   1      20         5  85.00 % (80.00-90.00)  60.00 %   85.42 % (75.42-95.42)  80.00 %   -         000000000001
   2      20         5  90.00 % (85.00-95.00)  60.00 %   87.50 % (77.50-97.50)  80.00 %   -         000000000002
   3      19         5  73.68 % (68.68-78.68)  63.16 %   67.26 % (57.26-77.26)  80.00 %   -         000000000003

FIGURE             MEAN     DEVIATION  LOWEST   HIGHEST  BASELINE
accuracy           82.89 %  8.36 %     73.68 %  90.00 %  61.05 %
balanced accuracy  80.06 %  11.13 %    67.26 %  87.50 %  50.00 %
macro F1           80.00 %  0.00 %     80.00 %  80.00 %  37.50 %

All folds together:

accuracy    83.05 %, 49 of 59 images
baseline    61.02 %, 36 of 59 images
difference  16 images only the nets get right, 3 only the baseline

CLASS  IMAGES  SENSITIVITY
no         36  91.67 %
yes        23  69.57 %

IMAGES OF  AS no  AS yes
no            33       3
yes            7      16"""


def _estimate(value: float, *, margin: float = 0.1) -> search_pb2.Estimate:
    return search_pb2.Estimate(value=value, low=value - margin, high=value + margin)


def _trained() -> list[search_pb2.Search]:
    """Three folds of 20, 20 and 19 images."""
    found = []
    for fold, rows in enumerate(CONFUSIONS, 1):
        search = records.search()
        search.search_id = f"{fold:012}"
        search.config.folds, search.config.fold = len(CONFUSIONS), fold
        totals = [sum(row) for row in rows]
        search.dataset.test_counts[:] = totals
        search.dataset.patients.test_count = 5
        right = [row[label] / totals[label] for label, row in enumerate(rows)]
        accuracy, constant = (rows[0][0] + rows[1][1]) / sum(totals), totals[0] / sum(totals)
        search.assessed.add(
            child_id="0-1",
            assessment=search_pb2.Assessment(
                accuracy=_estimate(accuracy, margin=0.05),
                balanced_accuracy=_estimate(sum(right) / 2),
                macro_f1=search_pb2.Estimate(value=0.8),
                baseline=search_pb2.Baseline(
                    accuracy=constant,
                    balanced_accuracy=0.5,
                    macro_f1=0.375,
                    only_net_count=rows[1][1],
                    only_baseline_count=rows[0][1],
                ),
                confusion=[search_pb2.ConfusionRow(counts=row) for row in rows],
                patient_count=5,
            ),
        )
        found.append(search)
    return found


def test_the_report() -> None:
    """A row a fold, their spread, and what all of them say together, each beside the constant answer."""
    assert REPORT == crossvalidation_report(_trained())


def test_the_counts_of_all_folds_are_added_up() -> None:
    """The matrix has every image once; accuracy and baseline differ by what only one of them gets right."""
    pooled = pool(_trained())

    assert pooled is not None
    assert ((33, 3), (7, 16)) == pooled.confusion
    assert (59, 49, 36) == (pooled.images, pooled.correct, pooled.baseline_correct)
    assert pooled.correct - pooled.baseline_correct == pooled.only_net - pooled.only_baseline
    assert [33 / 36, 16 / 23] == [pooled.sensitivity(0), pooled.sensitivity(1)]


def test_the_document() -> None:
    """Programs get every fold, the spread with the sample's deviation, the sums and the caution."""
    document = crossvalidation_document(records.search(), "winner", records.winner(), _trained())

    assert ["1-3", "winner", records.NOTATION] == [document[name] for name in ("child_id", "role", "notation")]
    assert [1, 2, 3] == [fold["fold"] for fold in document["folds"]]
    assert ["12", "7"] == document["folds"][2]["test_counts"]
    assert {"accuracy", "balanced_accuracy", "macro_f1"} == document["figures"].keys()
    assert {"mean": 0.8, "deviation": 0.0, "lowest": 0.8, "highest": 0.8, "baseline": 0.375} == {
        name: round(value, 12) for name, value in document["figures"]["macro_f1"].items()
    }
    assert [{"counts": ["33", "3"]}, {"counts": ["7", "16"]}] == document["pooled"]["confusion"]
    assert "replaces no independent test set" in document["caution"]


def test_folds_whose_training_was_simulated() -> None:
    """They have rows without figures, and nothing to add up."""
    trained = _trained()
    for search in trained:
        del search.assessed[:]

    lines = crossvalidation_report(trained).splitlines()

    assert 4 == len(lines)
    assert ["2", "20", "5", "-", "-", "-", "-", "-", "000000000002"] == lines[2].split()
    assert pool(trained) is None


def test_a_fold_is_the_search_on_another_division() -> None:
    """The settings, seed and threads of the search, its net as the only child; each fold has an id of its own."""
    search = records.search()

    made = list(fold_retrainings(search, search.incumbent, 5))

    expected = search_pb2.SearchConfig()
    expected.CopyFrom(search.config)
    expected.initial, expected.max_iterations, expected.threads = records.NOTATION, 0, 1
    expected.folds, expected.fold = 5, 2
    assert expected == made[1].config
    assert "1-3 on fold 2 of 5" == made[1].what
    assert 5 == len({one.request_id for one in made})
    again, others = fold_retrainings(search, search.incumbent, 5), fold_retrainings(search, search.incumbent, 4)
    assert made == list(again)
    assert {one.request_id for one in made}.isdisjoint(one.request_id for one in others)


def test_a_fold_is_trained_once_and_as_long_as_the_search_finished_its_net() -> None:
    """90 images in batches of 10 are 9 steps; 40 steps are 5 epochs, and FULL takes five times as many."""
    search = records.search()
    search.config.finish = search_pb2.FINISH_FULL
    search.config.training.CopyFrom(search_pb2.TrainingConfig(max_epochs=2, min_steps=40, batch_size=10))
    search.dataset.train_counts[:] = [50, 40]

    config = next(fold_retrainings(search, search.incumbent, 5)).config

    assert search_pb2.FINISH_NONE == config.finish
    assert (25, 0) == (config.training.max_epochs, config.training.min_steps)
    assert config.training.HasField("min_steps")
