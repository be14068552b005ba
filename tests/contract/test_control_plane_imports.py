# SPDX-License-Identifier: Apache-2.0
"""The control plane stays light: what it must never load is not loaded, at run time as well as in the import graph."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"ray", "torch", "torchvision", "sklearn", "PIL", "numpy", "scipy"}


@pytest.mark.parametrize(
    "statement",
    [
        "import server.app, server.commands.serve",
        "import server.worker.simulated, server.worker.__main__",
        "import client.__main__",
    ],
)
def test_loads_nothing_heavy(statement: str) -> None:
    """Importing the server, a simulated worker or the client loads no library for tensors or clusters."""
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in traced.stderr.splitlines()}

    assert set() == loaded & HEAVY
