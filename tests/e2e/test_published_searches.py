# SPDX-License-Identifier: Apache-2.0
"""From the folder of a published set to a checked list, and to a search that keeps the publisher's parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_client import Local
from published_sets import write_cbis_ddsm, write_inbreast, write_mias

FIVE_TO_TWO = "BI-RADS 1=benign,BI-RADS 2=benign,BI-RADS 4=malignant,BI-RADS 5=malignant"
SEARCH = (
    *("--block", "seib", "--max-iterations", "1", "--max-epochs", "1", "--threads", "1", "--input-size", "16"),
    *("--initial", "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(3)"),
)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """The client, called from an empty folder; its server trains."""
    (tmp_path / "here").mkdir()
    client = Local(tmp_path / "state", here=tmp_path / "here")
    yield client
    client.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "options", "patients", "is_searched"),
    [
        ("mias", lambda folder: write_mias(folder, 30), (), 30, False),
        ("inbreast", lambda folder: write_inbreast(folder, 20), ("--class-map", FIVE_TO_TWO), 20, False),
        ("cbis-ddsm", lambda folder: write_cbis_ddsm(folder, 40), (), 40, True),
    ],
    ids=["mias", "inbreast", "cbis-ddsm"],
)
def test_a_published_set(
    local: Local,
    name: str,
    write: Callable[[Path], None],
    options: tuple[str, ...],
    patients: int,
    is_searched: bool,
) -> None:
    """The list is checked without a fault and divided by its groups; a search of it ends with a winner."""
    assert local.here is not None
    write(local.here / "set")
    listed = local.run("datasets", "manifest", name, "set")
    (local.here / "set" / "manifest.csv").write_text(listed.stdout)

    checked = local.run("datasets", "check", "set", "--as", "manifest", "--output", "json", *options)

    found = json.loads(checked.stdout)
    assert (0, True, str(patients), "PATIENT_SOURCE_LIST") == (
        checked.returncode,
        found["is_ok"],
        found["patient_count"],
        found["patient_source"],
    )
    if is_searched:
        search = local.run("start", "--dataset", "manifest:set", *SEARCH, "--output", "jsonl")
        first, *_, last = map(json.loads, search.stdout.splitlines())
        counted = first["search_started"]["dataset"]["patients"]
        assert ("27", "3", "10", "0") == tuple(
            counted[name] for name in ("train_count", "validation_count", "test_count", "leak_count")
        )
        assert "search_succeeded" in last, search.stderr
