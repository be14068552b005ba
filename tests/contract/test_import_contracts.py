# SPDX-License-Identifier: Apache-2.0
"""The direction of imports is a test: the tree keeps every contract, and each way to break one is seen."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from source_files import ROOT, imported_modules, python_files

PACKAGES = ("nas", "server", "client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One line that must not be added to one module, and the contract that says so."""

    contract: str
    module: str
    line: str
    evidence: str


VIOLATIONS = (
    Violation(
        contract="the pure core does no IO",
        module="nas.architecture",
        line="import torch",
        evidence="nas.architecture -> torch",
    ),
    Violation(
        contract="the pure core does no IO",
        module="nas.transformations",
        line="import random",
        evidence="nas.transformations -> random",
    ),
    Violation(
        contract="the pure core does no IO",
        module="nas.search",
        line="from time import monotonic",
        evidence="nas.search -> time",
    ),
    Violation(
        contract="nas layers",
        module="nas.architecture",
        line="import nas.selection",
        evidence="nas.architecture -> nas.selection",
    ),
    Violation(
        contract="nas layers",
        module="nas.helpers",
        line="",
        evidence="- nas.helpers",
    ),
    Violation(
        contract="nas data layers",
        module="nas.data.folders.tree",
        line="import nas.data.decoding.picture",
        evidence="nas.data.folders.tree -> nas.data.decoding.picture",
    ),
    Violation(
        contract="nas data layers",
        module="nas.data.helpers",
        line="",
        evidence="- nas.data.helpers",
    ),
    Violation(
        contract="generated code stays at the edges",
        module="server.engine",
        line="from nas.api.v1 import event_pb2",
        evidence="server.engine -> nas.api.v1",
    ),
    Violation(
        contract="server layers",
        module="server.hub",
        line="import server.engine",
        evidence="server.hub -> server.engine",
    ),
    Violation(
        contract="server layers",
        module="server.utils",
        line="",
        evidence="- server.utils",
    ),
    Violation(
        contract="server and client meet only on the wire",
        module="client",
        line="import server.config",
        evidence="client -> server.config",
    ),
    Violation(
        contract="nas never looks up",
        module="nas.training",
        line="import server.config",
        evidence="nas.training -> server.config",
    ),
    Violation(
        contract="the control plane never loads torch",
        module="server.engine",
        line="import torch",
        evidence="server.engine -> torch",
    ),
    Violation(
        contract="the control plane never loads torch",
        module="client",
        line="import nas.models.build",
        evidence="client -> nas.models.build",
    ),
)


def lint(folder: Path, cache: Path) -> str:
    """Run import-linter on the packages in a folder and return its report."""
    script = Path(sys.executable).with_name("lint-imports")
    command = [str(script), "--no-logo", "--cache-dir", str(cache)]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return finished.stdout + finished.stderr


def broken_contracts(report: str) -> dict[str, str]:
    """Return the explanation of each broken contract by the contract's name."""
    _, found, explanations = report.partition("Broken contracts")
    assert found or "0 broken" in report, report
    parts = re.split(r"^(\S.*)\n-{3,}$", explanations, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def plant(violation: Violation, tree: Path) -> None:
    """Add the line to the module, which may be a package or not exist yet."""
    path = tree.joinpath(*violation.module.split("."))
    module = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    before = module.read_text() if module.exists() else ""
    module.write_text(f"{before}\n{violation.line}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and of the contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_a_violation() -> None:
    """No contract of pyproject.toml goes untried."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    expected = {contract["name"] for contract in settings["contracts"]}

    actual = {violation.contract for violation in VIOLATIONS}

    assert expected == actual


def test_the_tree_keeps_every_contract(tmp_path: Path) -> None:
    """No import of the packages goes the wrong way, and every module has its layer."""
    report = lint(ROOT, tmp_path)

    assert not broken_contracts(report), report


@pytest.mark.parametrize(
    "violation", VIOLATIONS, ids=lambda violation: f"{violation.module}: {violation.line or 'stray'}"
)
def test_planted_violation_breaks_its_contract(violation: Violation, tree: Path, tmp_path: Path) -> None:
    """A line that goes the wrong way is reported under the contract that forbids it, by name."""
    plant(violation, tree)

    broken = broken_contracts(lint(tree, tmp_path / "cache"))

    assert violation.contract in broken
    assert violation.evidence in broken[violation.contract]


def test_packages_of_nas_data_are_imported_by_their_front() -> None:
    """The modules of a package import one another; everybody else imports the names that its ``__init__`` offers."""
    packages = {path.parent for path in (ROOT / "nas/data").glob("*/__init__.py")}
    modules = [module for package in packages for module in package.glob("*.py")]
    inner = {".".join(module.relative_to(ROOT).with_suffix("").parts): module.parent for module in modules}

    side_entries = {
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in python_files(*PACKAGES)
        for line, name in imported_modules(ast.parse(path.read_text()))
        for module in (name, name.rpartition(".")[0])
        if module in inner and path.parent != inner[module]
    }

    assert len(packages) == 7
    assert set() == side_entries
