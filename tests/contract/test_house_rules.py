# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that no linter knows: sizes, licence lines, no pickle anywhere, no hidden input in the core."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from source_files import ROOT, imported_modules, python_files

FOLDERS = ("nas", "server", "client", "scripts", "tests")
SPDX = "# SPDX-License-Identifier: Apache-2.0"
MODULE_LINES = 300
TEST_MODULE_LINES = 500
"""Tests may list cases; beyond this they are about two things."""
FUNCTION_LINES = 40
"""Without decorators and docstring, which may be as long as the contract needs."""
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"torch.load", "torch.save", "torch.jit.load", "pandas.read_pickle"}
UNSAFE_NAMES = {name.rpartition(".")[2] for name in UNSAFE_CALLS}
CORE_IMPORTS = {
    *("__future__", "abc", "bisect", "collections", "dataclasses", "decimal", "enum", "fractions", "functools"),
    *("hashlib", "heapq", "itertools", "json", "math", "nas", "operator", "re", "string", "struct", "types", "typing"),
}
HIDDEN_INPUTS = {"hash", "id", "input", "open", "print"}
"""Builtins whose result depends on the process, or that do IO."""


def core_files() -> list[Path]:
    """Return the modules that pyproject.toml calls the pure core."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (core,) = [contract["source_modules"] for contract in contracts if contract["name"] == "the pure core does no IO"]
    modules = [ROOT.joinpath(*name.split(".")) for name in core]
    return [path for module in modules for path in (sorted(module.rglob("*.py")) or [module.with_suffix(".py")])]


def unsafe_uses(source: str) -> list[str]:
    """Say where a module could run code that lies in a data file."""
    tree = ast.parse(source)
    imports = [
        f"{line}: {name}"
        for line, name in imported_modules(tree)
        if name.split(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS
    ]
    attributes = [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in UNSAFE_NAMES and ast.unparse(node) in UNSAFE_CALLS
    ]
    allowed = [
        f"{node.value.lineno}: allow_pickle={ast.unparse(node.value)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    ]
    return imports + attributes + allowed


def hidden_inputs(source: str) -> list[str]:
    """Say where a module of the core asks the world for something instead of taking it as an argument."""
    tree = ast.parse(source)
    imports = [f"{line}: {name}" for line, name in imported_modules(tree) if name.split(".")[0] not in CORE_IMPORTS]
    calls = [
        f"{node.lineno}: {node.func.id}()"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HIDDEN_INPUTS
    ]
    return imports + calls


def long_functions(source: str) -> list[str]:
    """Say which functions of a module are over the budget."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [
        f"{node.lineno}: {node.name} has {size}" for node in functions if (size := body_lines(node)) > FUNCTION_LINES
    ]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function from its ``def``, docstring left out."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    assert docstring.end_lineno is not None
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def offences(paths: list[Path], rule: Callable[[str], list[str]]) -> list[str]:
    """Apply a rule to the text of each file and prefix what it finds with the file."""
    assert paths
    return [f"{path.relative_to(ROOT)}:{found}" for path in paths for found in rule(path.read_text())]


def test_every_python_file_names_its_licence() -> None:
    """The first line of each file, after ``#!``, is the SPDX line."""
    paths = python_files(*FOLDERS)

    offenders = [str(path) for path in paths if SPDX not in path.read_text().splitlines()[:2]]

    assert paths
    assert not offenders


def test_modules_keep_their_budget() -> None:
    """A module has at most 300 lines, one of the tests at most 500."""
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files(*FOLDERS)}

    offenders = {
        name: size
        for name, size in sizes.items()
        if size > (TEST_MODULE_LINES if name.startswith("tests/") else MODULE_LINES)
    }

    assert sizes
    assert not offenders


def test_functions_keep_their_budget() -> None:
    """A function has at most 40 lines."""
    assert not offences(python_files(*FOLDERS), long_functions)


def test_nothing_reads_or_writes_pickles() -> None:
    """No module can be made to run code by a file that it reads."""
    assert not offences(python_files(*FOLDERS), unsafe_uses)


def test_the_core_has_no_hidden_input() -> None:
    """The core imports arithmetic and records only: no clock, no RNG, no environment, no file."""
    assert not offences(core_files(), hidden_inputs)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "import torch\ntorch.load(path)",
        "from torch import load",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
    ],
)
def test_unsafe_uses_are_seen(source: str) -> None:
    """Each way to a pickle is found; without it there is nothing to find."""
    assert unsafe_uses(source)
    assert not unsafe_uses("import numpy\nnumpy.load(path, allow_pickle=False)")


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from secrets import token_hex",
        "import numpy.random",
        "import os.path",
        "def draw(text): return hash(text)",
        "def read(path): return open(path).read()",
    ],
)
def test_hidden_inputs_are_seen(source: str) -> None:
    """Each way to ask the world is found; without it there is nothing to find."""
    assert hidden_inputs(source)
    assert not hidden_inputs("from nas.seeds import derive_seed\nimport hashlib")


def test_long_functions_are_seen() -> None:
    """A docstring is free, a line of code is not."""
    body = "    x = 1\n" * (FUNCTION_LINES - 1)

    assert not long_functions(f'def f():\n    """One.\n\n    Two.\n    """\n{body}')
    assert long_functions(f"def f():\n{body}    return x\n")
