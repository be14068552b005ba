# SPDX-License-Identifier: Apache-2.0
"""A search on mammograms whose lesions carry the label: figures on unseen patients, clear of the baseline."""

from __future__ import annotations

from pathlib import Path

import pytest
from kau_tree import write_kau_tree
from phantoms import count_images, scale_patients
from real_server import RealServer

PATIENTS = scale_patients(2, least=10)
"""Half of the public copy's patients; of BI-RADS 4 and 5 ten each, so that the test part has more than one."""
SEARCH = (
    *("--dataset", "kau", "--block", "seib", "--selection-metric", "balanced-accuracy", "--seed", "1"),
    *("--initial", "C(8,3) P(4,4) SEIB(8,8,16,4,8,8) P(3,3) F() FC(3)", "--max-parameters", "30000"),
    *("--max-iterations", "1", "--max-epochs", "8", "--patience", "8", "--batch-size", "16"),
    *("--learning-rate", "0.003", "--threads", "1", "--precision", "fp32"),
)
MARGIN = 0.2
"""How far above the baseline's balanced accuracy the interval has to end."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_beats_the_constant_answer_on_unseen_patients(tmp_path: Path) -> None:
    """By patient, at the imbalance of the public copy: the 95 % interval of balanced accuracy clears the baseline."""
    root = tmp_path / "root"
    images = write_kau_tree(root / "kau", patients=PATIENTS, size=(96, 120))
    with RealServer(tmp_path, ("--data-root", str(root))) as server:
        search_id = server.start_search(*SEARCH)
        server.watch(search_id, timeout=540)
        search = server.search(search_id)
        shown = server.client("get", search_id).stdout

    assert "STATE_SUCCEEDED" == search["state"]
    dataset, found = search["dataset"], search["assessed"][0]["assessment"]
    parts = [sum(map(int, dataset[f"{part}_counts"])) for part in ("train", "validation", "test")]
    assert images == count_images(PATIENTS) == sum(parts)
    assert parts[2] == 4 * int(found["patient_count"])
    assert 1 / 3 == pytest.approx(found["baseline"]["balanced_accuracy"])
    assert found["baseline"]["balanced_accuracy"] + MARGIN < found["balanced_accuracy"]["low"]
    assert "ALWAYS 'BI-RADS 1'" in shown
