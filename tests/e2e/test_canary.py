# SPDX-License-Identifier: Apache-2.0
"""A patient's name in every place where images carry one: it stays in the data and in two private kinds of files."""

from __future__ import annotations

import json
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_files import write_scans
from image_files import draw, encode
from kau_tree import write_kau_tree, write_sheet
from PIL import Image, PngImagePlugin
from real_server import RealServer

CANARY = "Canary"
"""Begins each planted name."""
NAMES = (CANARY.encode(), b"BC0170")
PATIENT_ID = "KESTREL"
"""Begins each id in a DICOM header, which stands in no file of the server at all."""
TINY = "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(3)"
TINY_OF_TWO = TINY.replace("FC(3)", "FC(2)")
ONE = ("--block", "seib", "--max-iterations", "1", "--max-epochs", "1", "--threads", "1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that trains and counts, with mammograms and a list of images."""
    folder = tmp_path_factory.mktemp("canary")
    kau = folder / "root" / "kau"
    write_kau_tree(kau, has_extras=True)
    images = sorted(kau.rglob("*.jpg"))
    for image in images[:3]:
        with Image.open(image) as opened:
            exif = Image.Exif()
            exif[270] = f"{CANARY} description"
            opened.save(image, "JPEG", exif=exif, comment=f"{CANARY} comment".encode(), quality=90)
    write_sheet(kau, {images[5].stem: "BIRAD 5"})
    (kau / "BIRAD1" / "b1" / f"{CANARY} broken.jpg").write_bytes(b"no image")
    _write_list(folder / "root" / "listed")
    write_scans(folder / "root" / "scans", 40, prefix=PATIENT_ID)
    metrics = ("--metrics-listen", "127.0.0.1:0")
    with RealServer(folder, ("--data-root", str(folder / "root")), metrics=metrics) as server:
        yield server


def _write_list(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = ["path,label,group"]
    for number in range(80):
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", f"{CANARY} author")
        name = f"{CANARY}-{number:02}.png"
        (folder / name).write_bytes(encode(draw(number, (32, 32)), pnginfo=text))
        lines.append(f"{name},{('benign', 'malignant')[number // 4 % 2]},{CANARY} patient {number // 4}")
    (folder / "manifest.csv").write_text("\n".join(lines))


@pytest.mark.slow
def test_no_name_leaves_the_data(server: RealServer, tmp_path: Path) -> None:
    """Not in events, answers, logs, journal, metrics or exports, nor in what is said when a start is refused."""
    net = ("--initial", TINY)
    refused = server.client("start", "--dataset", "kau", *ONE)
    planned = server.client("plan", "--dataset", "manifest:listed", *ONE)
    search_id = server.start_search("--dataset", "kau", *ONE, *net, "--max-bad-files", "1")
    events = server.watch(search_id)
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
    told |= {str(path): path.read_bytes() for path in server.state_dir.rglob("*") if path.is_file()}
    named = {where for where, content in told.items() if any(name in content for name in NAMES)}
    private = [Path(where) for where in named]
    assert all(path.match("cache/index-*.jsonl") or path.match("cache/*.report.json") for path in private), named
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    assert private, "the canary is nowhere, so the test looks at the wrong places"


@pytest.mark.slow
def test_no_patient_id_leaves_the_ingest(server: RealServer) -> None:
    """Where DICOM headers group the images, their ids are in no answer, event or log and in no file, private or not."""
    checked = [
        server.client("datasets", "check", "scans", "--as", "folder", "--output", form) for form in ("text", "json")
    ]
    search_id = server.start_search("--dataset", "folder:scans", *ONE, "--input-size", "16", "--initial", TINY_OF_TWO)
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
    told |= {str(path): path.read_bytes() for path in server.state_dir.rglob("*") if path.is_file()}
    assert any(path.endswith("journal.db") for path in told), "the state folder is not where the test looks"
    assert [] == [where for where, content in told.items() if PATIENT_ID.encode() in content]


def _metrics(server: RealServer) -> bytes:
    """What the server counts."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    (address,) = [line["metrics"] for line in lines if line["event"] == "server_serving"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        content: bytes = answer.read()
    assert b"nas_children_total" in content
    return content
