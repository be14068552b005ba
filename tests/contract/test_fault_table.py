# SPDX-License-Identifier: Apache-2.0
"""The table of faults speaks of tests that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_of_the_fault_table_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that names a test which was renamed would claim what nothing proves."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from fault_table import ROWS

    paths = [path for row in ROWS for path in row.tests]

    missing = [path for path in paths if not (ROOT / path).exists()]

    assert len(paths) > 20
    assert [] == missing
