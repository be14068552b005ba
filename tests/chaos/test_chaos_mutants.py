# SPDX-License-Identifier: Apache-2.0
"""The planted bugs can be planted: the text that each one changes is there once, and its tests exist."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, loaded as a module."""
    spec = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mutants", module)
    spec.loader.exec_module(module)
    return module


def test_every_mutant_can_be_planted(mutants: ModuleType) -> None:
    """Ten bugs or more, each of which changes one place of today's code and is looked for by tests that exist."""
    misplaced = [m.name for m in mutants.MUTANTS if (ROOT / m.path).read_text().count(m.old) != 1]
    missing = [test for m in mutants.MUTANTS for test in m.tests if not (ROOT / test.partition("::")[0]).exists()]

    assert [] == misplaced
    assert [] == missing
    assert len(mutants.MUTANTS) >= 10
    assert len(mutants.MUTANTS) == len({m.name for m in mutants.MUTANTS})
