# SPDX-License-Identifier: Apache-2.0
"""``datasets check`` as a user meets it: a real server, the real client, a tree with every fault at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import planted_faults as faults
import pytest
from image_files import write_folder
from kau_tree import write_kau_tree, write_sheet
from real_server import RealServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with three folders: one with every fault, one with none, one of a single class."""
    folder = tmp_path_factory.mktemp("check")
    root = folder / "root"
    write_kau_tree(root / "clean")
    write_kau_tree(root / "faulty", has_extras=True)
    normal, probably_benign = root / "faulty" / "BIRAD1" / "b1", root / "faulty" / "Birad3"
    write_sheet(root / "faulty", {faults.first_image(normal).stem: "BIRAD 5"})
    faults.plant_corrupt_jpeg(normal)
    faults.plant_bomb(normal)
    faults.plant_duplicate(faults.first_image(probably_benign), normal)
    faults.plant_wrong_extension(normal)
    faults.plant_mask(normal)
    faults.plant_unnamed_mask(normal)
    write_folder(root / "one", {"cat": 12})
    write_folder(root / "leaky", {"train/cat": 9, "train/dog": 9, "test/cat": 3, "test/dog": 3})
    faults.plant_leak(root / "leaky")
    with RealServer(folder, ("--data-root", str(root), "--executor", "fake")) as server:
        yield server


def test_every_fault_at_once(server: RealServer) -> None:
    """As JSON: each fault with its file, the verdict, and exit status 2."""
    answer = server.client("datasets", "check", "faulty", "--as", "kau", "--output", "json")

    found = json.loads(answer.stdout)
    named = {finding["kind"].removeprefix("KIND_"): " ".join(finding["names"]) for finding in found["findings"]}
    assert (2, False) == (answer.returncode, found["is_ok"])
    for kind, name in {
        "UNREADABLE": "2019_BC090001_ CC_L.jpg: is damaged or cut short",
        "TWO_CLASSES": "2019_BC090003_ CC_L.jpg (BI-RADS 1)",
        "LABEL_CONFLICT": "is BI-RADS 1 by its folder and 5 by the sheet",
        "NOT_LISTED": "2019_BC007741_ CC_R.dcm: in the sheet, and no such image",
        "WRONG_EXTENSION": "2019_BC090004_ MLO_R.jpg: is PNG",
        "NO_MAMMOGRAM": "2019_BC090006_ CC_R_mask.png",
        "MASK_LIKE": "2019_BC090007_ CC_R.png",
    }.items():
        assert name in named[kind]
    assert "2019_BC090002_ CC_L.png: has more than 16,777,216 pixels" in named["UNREADABLE"]
    assert "Ultrasound/" in named["NO_MAMMOGRAM"]


def test_no_fault(server: RealServer) -> None:
    """As text: within 80 columns, with the verdict on the last line and exit status 0."""
    answer = server.client("datasets", "check", "clean", "--as", "kau")

    lines = answer.stdout.splitlines()
    assert (0, "") == (answer.returncode, answer.stderr)
    assert "Verdict: ok. No faults, 0 kinds of warnings." == lines[-1]
    assert "kau:clean in <data root>/clean: 228 files, 228 images of the data set, 57" in lines[0]
    assert ["BI-RADS 3", "32", "8", "24", "4", "4"] == [
        cell.strip() for cell in next(line for line in lines if line.startswith("BI-RADS 3")).split("  ") if cell
    ]
    assert max(map(len, lines)) <= 80


def test_text_of_faults_is_readable(server: RealServer) -> None:
    """Faults before warnings before notes, sentences wrapped at 80 columns."""
    answer = server.client("datasets", "check", "faulty", "--as", "kau")

    levels = [line.split()[0] for line in answer.stdout.splitlines() if line.split(" ")[0].isupper() and ":" in line]
    assert sorted(levels, key=["FAULT", "WARNING", "NOTE"].index) == levels
    assert {"FAULT", "WARNING", "NOTE"} == set(levels)
    assert max(len(line) for line in answer.stdout.splitlines() if "/" not in line) <= 80
    assert answer.stdout.splitlines()[-2].startswith("Verdict: faults. 3 kinds of faults, ")


@pytest.mark.parametrize(
    ("path", "kind", "status", "sentence"),
    [
        ("one", "folder", 2, "FAULT one class: data set 'folder:one' cannot be used: 'cat' is its only class"),
        ("leaky", "folder", 2, "test/cat/copy.png = train/cat/0.png"),
        ("nothing", "kau", 2, "is read from the folder <data root>/nothing, which is not there"),
        ("../state", "kau", 6, "'kau:../state' lies outside the server's data root"),
        ("/etc", "folder", 6, "'folder:/etc' lies outside the server's data root"),
        ("clean", "mnist", 2, "is missing train-images-idx3-ubyte[.gz]"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(
    server: RealServer, path: str, kind: str, status: int, sentence: str
) -> None:
    """With the documented exit status and nothing of the server's own paths."""
    answer = server.client("datasets", "check", path, "--as", kind)

    said = " ".join((answer.stdout + answer.stderr).split())
    assert status == answer.returncode
    assert sentence in said
    assert str(server.folder) not in said


def test_names_are_in_no_log(server: RealServer) -> None:
    """What the answer names, the server's log does not, and nothing was started."""
    server.client("datasets", "check", "faulty", "--as", "kau")

    assert "BC0" not in server.log
    assert "Traceback" not in server.log
    assert [] == json.loads(server.client("list", "--output", "json").stdout)["searches"]
