# SPDX-License-Identifier: Apache-2.0
"""One search that was really trained, for every end-to-end test that begins where a search has ended.

Its server goes on serving, and its data are mammograms (phantoms) with the names of patients planted in them. Tests may
start further searches on that server; they neither change nor delete what is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_files import write_scans
from image_files import draw, encode
from kau_tree import write_kau_tree, write_sheet
from PIL import Image, PngImagePlugin
from real_server import RealServer

GROUP = "trained search"
"""The xdist group of its tests, so that one process trains it once."""

CANARY = "Canary"
"""Begins each name that is planted in images and in file names."""
PATIENT_PREFIX = "BC0170"
"""Begins each patient in the names of the mammograms."""
PATIENT_ID = "KESTREL"
"""Begins each patient in a DICOM header, which stands in no file of the server at all."""

PATIENTS = {1: 30, 3: 8, 4: 6}
"""How many of each BI-RADS category; as two classes 38 and 6, with four images each."""
SEED = 5
SIDE = 32
"""Height and width of the images in pixels."""
TINY = "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(2)"
SETTINGS = (
    *(
        "--class-map",
        "binary",
        "--input-size",
        str(SIDE),
        "--max-bad-files",
        "1",
        "--block",
        "seib",
        "--seed",
        str(SEED),
    ),
    *("--max-iterations", "1", "--max-epochs", "2", "--threads", "1", "--precision", "fp32", "--initial", TINY),
)

LISTENER = """\
import os, sys, time
def _hear(name, arguments):
    if name == "nas.open_test_part":
        with open(os.environ["NAS_TEST_OPENINGS"], "a") as file:
            file.write(f"{os.getpid()} {time.time_ns()}\\n")
sys.addaudithook(_hear)
"""
"""Runs at the start of every Python process of the server, workers included, and hears each reading of a test part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSearch:
    """A search that has succeeded on a server that still serves.

    Attributes:
        events: all of them, as ``watch --output jsonl`` gives them.
        openings: when a test part was read during the search, in nanoseconds since 1970.
    """

    server: RealServer
    search_id: str
    events: list[dict[str, Any]]
    openings: tuple[int, ...]

    @property
    def data_root(self) -> Path:
        """The folder of the server's data sets: ``kau``, ``listed`` and ``scans``."""
        return self.server.folder / "root"

    def listed(self) -> dict[str, dict[str, Any]]:
        """Every search of the server by its id."""
        answer = self.server.client("list", "--output", "json")
        return {search["search_id"]: search for search in json.loads(answer.stdout)["searches"]}


def openings_of(server: RealServer) -> list[int]:
    """When the server's processes have read a test part, in nanoseconds since 1970."""
    path = server.folder / "openings"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines]


def train(server: RealServer, dataset: str) -> TrainedSearch:
    """Run a search on a data set to its end."""
    before = len(openings_of(server))
    search_id = server.start_search("--dataset", dataset, *SETTINGS)
    events = server.watch(search_id)
    return TrainedSearch(
        server=server, search_id=search_id, events=events, openings=tuple(openings_of(server)[before:])
    )


@contextmanager
def serving_data(folder: Path) -> Iterator[RealServer]:
    """A server that trains and counts, with the data sets and with the listener in each of its processes."""
    write_kau(folder / "root" / "kau")
    write_list(folder / "root" / "listed")
    write_scans(folder / "root" / "scans", 40, prefix=PATIENT_ID)
    (folder / "listener").mkdir()
    (folder / "listener" / "sitecustomize.py").write_text(LISTENER)
    environment = {
        "PYTHONPATH": os.pathsep.join((str(folder / "listener"), os.environ.get("PYTHONPATH", ""))),
        "NAS_TEST_OPENINGS": str(folder / "openings"),
    }
    metrics = ("--metrics-listen", "127.0.0.1:0")
    with RealServer(folder, ("--data-root", str(folder / "root")), environment, metrics=metrics) as server:
        yield server


def write_kau(folder: Path) -> None:
    """Write a tree of mammograms with names in three images, one label that the sheet contradicts, one broken file."""
    write_kau_tree(folder, patients=PATIENTS, size=(48, 60), has_extras=True)
    images = sorted(folder.rglob("*.jpg"))
    for image in images[:3]:
        with Image.open(image) as opened:
            exif = Image.Exif()
            exif[270] = f"{CANARY} description"
            opened.save(image, "JPEG", exif=exif, comment=f"{CANARY} comment".encode(), quality=90)
    write_sheet(folder, {images[5].stem: "BIRAD 5"})
    (folder / "BIRAD1" / "b1" / f"{CANARY} broken.jpg").write_bytes(b"no image")


def write_list(folder: Path) -> None:
    """Write a list of images with a patient's name in each image, file name and line."""
    folder.mkdir(parents=True)
    lines = ["path,label,group"]
    for number in range(80):
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", f"{CANARY} author")
        name = f"{CANARY}-{number:02}.png"
        (folder / name).write_bytes(encode(draw(number, (32, 32)), pnginfo=text))
        lines.append(f"{name},{('benign', 'malignant')[number // 4 % 2]},{CANARY} patient {number // 4}")
    (folder / "manifest.csv").write_text("\n".join(lines))
