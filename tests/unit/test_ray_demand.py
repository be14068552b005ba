# SPDX-License-Identifier: Apache-2.0
"""What a Ray cluster lacks for a worker is said in one sentence, and busy nodes lack nothing."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from server.executor.ray_actor import Orders

_ray_worker = pytest.importorskip("server.executor.ray_worker", reason="needs the extra ray")
GPU_NODE = {"CPU": 2.0, "GPU": 1.0}
CPU_NODE = {"CPU": 8.0}


def _nodes(*totals: dict[str, float], is_alive: bool = True) -> list[dict[str, Any]]:
    return [{"Alive": is_alive, "Resources": total} for total in totals]


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "expected"),
    [
        (8, 0, _nodes(GPU_NODE, CPU_NODE), ""),
        (2, 1, _nodes(GPU_NODE, CPU_NODE), ""),
        (1, 1, _nodes(CPU_NODE), "the Ray cluster has no GPU; add a node with one, or leave out --ray-gpus"),
        (
            1,
            1,
            _nodes(GPU_NODE, is_alive=False),
            "the Ray cluster has no GPU; add a node with one, or leave out --ray-gpus",
        ),
        (
            3,
            1,
            _nodes(GPU_NODE, CPU_NODE),
            "no node of the Ray cluster has 3 CPUs beside its GPU; add one, or give a smaller --ray-cpus",
        ),
        (9, 0, _nodes(CPU_NODE), "no node of the Ray cluster has 9 CPUs; add one, or give a smaller --ray-cpus"),
    ],
)
def test_what_no_node_has_is_said(cpus: int, gpus: int, nodes: list[dict[str, Any]], expected: str) -> None:
    """All of it has to be on one node that is alive."""
    assert expected == _ray_worker.Demand(cpus=cpus, gpus=gpus).unmet_by(nodes)


def _orders(folder: Path, **changes: Any) -> Orders:
    mark = folder / "shared"
    mark.write_text("1")
    fields: dict[str, Any] = {"marks": ((str(mark), "1"),), "version": version("seib-nas")}
    return Orders(arguments=(), program=None, environment={}, log="", **fields | changes)


def test_a_node_that_sees_what_the_server_sees_has_no_fault(tmp_path: Path) -> None:
    """The same folder and the same version."""
    assert "" == _orders(tmp_path).fault()


def test_a_node_of_another_version_says_so(tmp_path: Path) -> None:
    """Both versions are named."""
    assert "has seib-nas " in _orders(tmp_path, version="0.0.1").fault()
    assert "and the server 0.0.1; give them the same image" in _orders(tmp_path, version="0.0.1").fault()


def test_a_node_with_another_volume_says_so(tmp_path: Path) -> None:
    """Nothing there, or something else there."""
    nothing, other = (str(tmp_path / "elsewhere" / "shared"), "1"), (str(tmp_path / "shared"), "2")

    faults = [_orders(tmp_path, marks=(mark,)).fault() for mark in (nothing, other)]

    assert all("does not see the server's" in fault for fault in faults)
    assert str(tmp_path / "elsewhere") in faults[0]
