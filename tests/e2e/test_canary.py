# SPDX-License-Identifier: Apache-2.0
"""A patient's name in every place where images carry one: it stays in the data and in two private kinds of files."""

from __future__ import annotations

import contextlib
import json
import stat
import urllib.request
from pathlib import Path

import pytest
from real_server import RealServer
from trained_search import CANARY, GROUP, PATIENT_ID, PATIENT_PREFIX, TINY, TrainedSearch

NAMES = (CANARY.encode(), PATIENT_PREFIX.encode())
ONE = ("--block", "seib", "--max-iterations", "0", "--max-epochs", "1", "--threads", "1")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group(GROUP)]


def test_no_name_leaves_the_data(trained: TrainedSearch, tmp_path: Path) -> None:
    """Not in events, answers, logs, journal, metrics or exports, nor in what is said when a start is refused."""
    server, search_id, events = trained.server, trained.search_id, trained.events
    refused = server.client("start", "--dataset", "kau", *ONE)
    planned = server.client("plan", "--dataset", "manifest:listed", *ONE)
    exported = server.client("export", search_id, "--to", str(tmp_path / "model"))

    assert (2, 0) == (refused.returncode, planned.returncode), planned.stderr
    assert "search_succeeded" in events[-1]
    assert 0 == exported.returncode, exported.stderr
    told = {
        "refusal": refused.stderr.encode(),
        "events": json.dumps(events).encode(),
        "search": json.dumps(server.search(search_id)).encode(),
        "children": server.client("children", search_id, "--output", "json").stdout.encode(),
        "plan": (planned.stdout + planned.stderr).encode(),
        "log": server.log.encode(),
        "metrics": _metrics(server),
    }
    told |= {str(path): path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()}
    told |= _files(server.state_dir)
    named = {where for where, content in told.items() if any(name in content for name in NAMES)}
    private = [Path(where) for where in named]
    assert all(path.match("cache/index-*.jsonl") or path.match("cache/*.report.json") for path in private), named
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    assert private, "the canary is nowhere, so the test looks at the wrong places"


def test_no_patient_id_leaves_the_ingest(trained: TrainedSearch) -> None:
    """Where DICOM headers group the images, their ids are in no answer, event or log and in no file, private or not."""
    server = trained.server
    checked = [
        server.client("datasets", "check", "scans", "--as", "folder", "--output", form) for form in ("text", "json")
    ]
    search_id = server.start_search("--dataset", "folder:scans", *ONE, "--input-size", "16", "--initial", TINY)
    events = server.watch(search_id)

    assert [0, 0] == [one.returncode for one in checked], checked[0].stdout + checked[0].stderr
    said = " ".join(checked[0].stdout.split())
    assert "40 patients" in said
    assert "divided by the patient of the DICOM header" in said
    assert "search_succeeded" in events[-1]
    assert {
        "source": "PATIENT_SOURCE_DICOM_HEADER",
        "train_count": "32",
        "validation_count": "4",
        "test_count": "4",
    } == {name: value for name, value in server.search(search_id)["dataset"]["patients"].items() if value != "0"}
    told = {
        "checks": "".join(one.stdout + one.stderr for one in checked).encode(),
        "events": json.dumps(events).encode(),
        "search": json.dumps(server.search(search_id)).encode(),
        "log": server.log.encode(),
        "metrics": _metrics(server),
    }
    told |= _files(server.state_dir)
    assert any(path.endswith("journal.db") for path in told), "the state folder is not where the test looks"
    assert [] == [where for where, content in told.items() if PATIENT_ID.encode() in content]


def _files(folder: Path) -> dict[str, bytes]:
    """Contents of every file, but for those that the server deletes meanwhile."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def _metrics(server: RealServer) -> bytes:
    """What the server counts."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    (address,) = [line["metrics"] for line in lines if line["event"] == "server_serving"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        content: bytes = answer.read()
    assert b"nas_children_total" in content
    return content
