# SPDX-License-Identifier: Apache-2.0
"""The paper's Table VI as one command, through real client, server and training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from real_server import RealServer

from nas.config import InputShape
from nas.notation import parse_notation
from nas.shapes import param_count

TINY = (
    *("--dataset", "digits", "--block", "seib", "--seed", "5", "--max-iterations", "1", "--max-epochs", "1"),
    *("--threads", "1", "--precision", "fp32", "--train-limit", "200"),
    *("--initial", "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(10)"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that trains."""
    with RealServer(tmp_path_factory.mktemp("ablation")) as real:
        yield real


def _ids(server: RealServer) -> set[str]:
    listed = json.loads(server.client("list", "--output", "json").stdout)
    return {search["search_id"] for search in listed["searches"]}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_winner_and_smallest_with_and_without_se(server: RealServer) -> None:
    """Four nets, trained once under the conditions of the search; asking again prints the same and starts nothing."""
    search_id = server.start_search(*TINY)
    server.watch(search_id)
    search = server.search(search_id)

    first = server.client("ablate", search_id, "--output", "json", timeout=240)
    known = _ids(server)
    again = server.client("ablate", search_id, "--output", "json")
    text = server.client("ablate", search_id)

    assert [0, 0, 0] == [answer.returncode for answer in (first, again, text)], first.stderr
    assert first.stdout == again.stdout
    assert known == _ids(server)
    rows: list[dict[str, Any]] = json.loads(first.stdout)["variants"]
    roles = [(role, has_se) for role in ("winner", "smallest") for has_se in (True, False)]
    assert roles == [(row["role"], row["has_se"]) for row in rows]
    assert [tested["child_id"] for tested in search["assessed"] for _ in "+-"] == [row["child_id"] for row in rows]
    for row in rows:
        assert row["has_se"] is ("SEIB(" in row["notation"])
        assert param_count(parse_notation(row["notation"]), InputShape(channels=1, height=28, width=28)) == int(
            row["param_count"]
        )
        trained = server.search(row["search_id"])
        assert {**trained["config"], "initial": "", "max_iterations": 1, "block": "", "threads": 1} == {
            **search["config"],
            "initial": "",
            "block": "",
        }
        assert search["dataset"] == trained["dataset"]
        assert "0-1" == row["test"]["child_id"]
        figures = row["test"]["assessment"]
        assert figures["balanced_accuracy"]["low"] <= figures["balanced_accuracy"]["value"]
        assert row["notation"] in text.stdout
    assert "The test part was read once for each line" in text.stderr


def test_a_search_without_a_winner_has_nothing_to_ablate(server: RealServer) -> None:
    """One sentence, exit 2, and no search is started."""
    search_id = server.start_search(*TINY, "--max-epochs", "1000")
    server.client("cancel", search_id)
    known = _ids(server)

    refused = server.client("ablate", search_id)

    assert 2 == refused.returncode
    assert f"Search {search_id} has not succeeded, so it has no winner" in refused.stderr
    assert known == _ids(server)
