# SPDX-License-Identifier: Apache-2.0
"""No code but the test evaluation can read the test part: who may see a whole data set, and who may open that part."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from source_files import ROOT, imported_modules, python_files

DIVIDERS = {"server/worker/dataset.py", "server/worker/prepare.py"}
"""They turn a data set into parts: one hands them out, one counts what is in them."""
OPENER = "server/worker/testing.py"
WHOLE = {"CachedDataset", "Split", "split", "find_by_fingerprint", "prepare"}
"""What ``nas.data`` has that leads to all images or to the indices of the test part."""
OPEN = "open_test_part"


@functools.cache
def _outside_nas_data() -> list[tuple[str, ast.Module]]:
    paths = [path for path in python_files("nas", "server", "client") if ROOT / "nas/data" not in path.parents]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]


def test_only_two_modules_see_a_whole_data_set() -> None:
    """Whatever else trains, evaluates or serves gets parts, and no way to the rest."""
    users = {
        path
        for path, tree in _outside_nas_data()
        for _, name in imported_modules(tree)
        if name.startswith("nas.data.") and name.rpartition(".")[2] in WHOLE
    }
    whole = {
        path
        for path, tree in _outside_nas_data()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "images_NCHW"
    }

    assert DIVIDERS == users
    assert {"server/worker/dataset.py"} == whole


def test_only_the_test_evaluation_opens_the_test_part() -> None:
    """One module names the function that opens it, and one function looks at its indices."""
    openers = {
        path
        for path, tree in _outside_nas_data()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == OPEN) or (isinstance(node, ast.Attribute) and node.attr == OPEN)
    }
    tree = ast.parse((ROOT / "server/worker/dataset.py").read_text())
    readers = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == "test"
    }

    assert {OPENER} == openers
    assert {OPEN} == readers


def test_no_module_goes_round_by_the_cache() -> None:
    """The files of the cache are named nowhere outside ``nas.data``."""
    names = {
        path
        for path, tree in _outside_nas_data()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in ("images.uint8", "labels.int64")
    }

    assert set() == names
    assert Path(ROOT / OPENER).is_file()
