# SPDX-License-Identifier: Apache-2.0
"""The paper's Table VI as one command, through real client, server and training."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trained_search import GROUP, SETTINGS, SIDE, TrainedSearch

from nas.config import InputShape
from nas.notation import parse_notation
from nas.shapes import param_count

pytestmark = pytest.mark.xdist_group(GROUP)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_winner_and_smallest_with_and_without_se(trained: TrainedSearch) -> None:
    """Four nets, trained once under the conditions of the search; asking again prints the same and starts nothing."""
    server, search_id = trained.server, trained.search_id
    search = server.search(search_id)

    first = server.client("ablate", search_id, "--output", "json", timeout=240)
    known = trained.listed().keys()
    again = server.client("ablate", search_id, "--output", "json")
    text = server.client("ablate", search_id)

    assert [0, 0, 0] == [answer.returncode for answer in (first, again, text)], first.stderr
    assert first.stdout == again.stdout
    assert known == trained.listed().keys()
    rows: list[dict[str, Any]] = json.loads(first.stdout)["variants"]
    roles = [(role, has_se) for role in ("winner", "smallest") for has_se in (True, False)]
    assert roles == [(row["role"], row["has_se"]) for row in rows]
    assert [tested["child_id"] for tested in search["assessed"] for _ in "+-"] == [row["child_id"] for row in rows]
    for row in rows:
        assert row["has_se"] is ("SEIB(" in row["notation"])
        shape = InputShape(channels=1, height=SIDE, width=SIDE)
        assert param_count(parse_notation(row["notation"]), shape) == int(row["param_count"])
        variant = server.search(row["search_id"])
        assert {**variant["config"], "initial": "", "max_iterations": 1, "block": "", "threads": 1} == {
            **search["config"],
            "initial": "",
            "block": "",
        }
        assert search["dataset"] == variant["dataset"]
        assert "0-1" == row["test"]["child_id"]
        figures = row["test"]["assessment"]
        assert figures["balanced_accuracy"]["low"] <= figures["balanced_accuracy"]["value"]
        assert row["notation"] in text.stdout
    assert "The test part was read once for each line" in text.stderr


def test_a_search_without_a_winner_has_nothing_to_ablate(trained: TrainedSearch) -> None:
    """One sentence, exit 2, and no search is started."""
    server = trained.server
    search_id = server.start_search("--dataset", "kau", *SETTINGS, "--max-epochs", "1000")
    server.client("cancel", search_id)
    assert 4 == server.client("watch", search_id).returncode  # it has ended before another test looks around
    known = trained.listed().keys()

    refused = server.client("ablate", search_id)

    assert 2 == refused.returncode
    assert f"Search {search_id} has not succeeded, so it has no winner" in refused.stderr
    assert known == trained.listed().keys()
