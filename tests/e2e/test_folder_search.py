# SPDX-License-Identifier: Apache-2.0
"""One's own images, as a user meets them: a real server, the real client, real training, or one sentence why not."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator

import pytest
from image_files import draw, encode, write_folder, write_image
from kau_tree import write_kau_tree
from real_server import RealServer, fact_of

ONE = ("--block", "seib", "--max-iterations", "1", "--max-epochs", "1", "--threads", "1", "--seed", "3")
TINY_2 = "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(2)"
TINY_3 = "C(4,3) P(4,4) SEIB(4,2,4,2,2,2) P(2,2) F() FC(3)"
PATIENTS = [f"BC{17_000 + number:06}" for number in range(1, 58)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that trains, with a data root."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "root").mkdir()
    with RealServer(folder, ("--data-root", str(folder / "root"))) as server:
        yield server


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server whose training only takes time, with folders that cannot be used."""
    folder = tmp_path_factory.mktemp("fake")
    root = folder / "root"
    write_folder(root / "pets", {"cat": 12, "dog": 12})
    write_folder(root / "one", {"cat": 12})
    write_folder(root / "few", {"cat": 12, "dog": 2})
    (root / "empty").mkdir()
    write_folder(root / "bad", {"cat": 12, "dog": 12})
    (root / "bad" / "dog" / "secret-name.png").write_bytes(encode(draw(1))[:40])
    with RealServer(
        folder, ("--data-root", str(root), "--executor", "fake"), {"NAS_FAKE_EPOCH_SECONDS": "0"}
    ) as server:
        yield server


@pytest.mark.slow
def test_kau_ends_with_a_result(real: RealServer) -> None:
    """The layout of the Kaggle copy, by patient, 85/10/5; warnings say what was left out, and no patient is named."""
    images = write_kau_tree(real.folder / "root" / "kau", has_extras=True)

    search_id = real.start_search("--dataset", "kau", *ONE, "--initial", TINY_3)
    events = real.watch(search_id)
    search = real.search(search_id)

    assert "search_succeeded" == fact_of(events[-1])
    assert 4 == sum("child_succeeded" in event for event in events)
    dataset = search["dataset"]
    assert ["BI-RADS 1", "BI-RADS 3", "BI-RADS 4-5"] == dataset["class_names"]
    counts = [[int(n) for n in dataset[f"{part}_counts"]] for part in ("train", "validation", "test")]
    assert [4 * 48, 4 * 3, 4 * 6] == list(map(sum, counts))
    assert images == sum(map(sum, counts))
    assert "left out: 4 folders, 5 files that the data set does not use" == search["warnings"][0]
    assert 24 == sum(map(int, search["test_evaluation"]["total_counts"]))
    _require_no_name(real, json.dumps(events) + json.dumps(search) + real.log, PATIENTS)


@pytest.mark.slow
def test_a_folder_of_one_s_own_ends_with_a_result(real: RealServer) -> None:
    """Colour images of several sizes, one unreadable; once started, the search needs the folder no more."""
    folder = real.folder / "root" / "my pets"
    for number in range(60):
        size = (20 + number % 7, 24)
        write_image(folder / ("cat", "dog")[number % 2] / f"{number}.png", number, size, channels=3)
    (folder / "cat" / "broken.png").write_bytes(b"no image")

    search_id = real.start_search(
        *("--dataset", "folder:my pets", *ONE, "--initial", TINY_2),
        *("--input-size", "32", "--max-bad-files", "1"),
    )
    shutil.move(folder, real.folder / "elsewhere")
    events = real.watch(search_id)
    search = real.search(search_id)

    assert "search_succeeded" == fact_of(events[-1])
    assert {"channels": 3, "height": 32, "width": 32} == search["dataset"]["shape"]
    assert 6 == sum(map(int, search["test_evaluation"]["total_counts"]))
    assert search["warnings"][0].startswith("1 of 61 images cannot be read and are left out (first: image 31 of class")
    _require_no_name(real, json.dumps(events) + json.dumps(search) + real.log, ["broken"])


@pytest.mark.slow
def test_an_imbalanced_folder_is_trained_against(real: RealServer) -> None:
    """The options reach the trainer, so every net differs from the one without; what is selected by is said."""
    write_folder(real.folder / "root" / "uneven", {"cat": 40, "dog": 10}, size=(16, 16))
    plain = ("--dataset", "folder:uneven", *ONE, "--initial", TINY_2, "--selection-metric", "balanced-accuracy")
    small = ("--max-parameters", "1000")  # one child, for time

    search_ids = [
        real.start_search(*plain, *small, *more) for more in ((), ("--imbalance", "focal", "--augment", "all"))
    ]
    events = [real.watch(search_id) for search_id in search_ids]
    without, search = map(real.search, search_ids)

    assert ["search_succeeded"] * 2 == [fact_of(each[-1]) for each in events]
    settings = [each["config"]["training"]["imbalance"] for each in (without, search)]
    assert ["IMBALANCE_NONE", "IMBALANCE_FOCAL"] == settings
    assert ["", "all"] == [each["config"]["training"]["augment"] for each in (without, search)]
    assert search["warnings"][-1].endswith("children are selected by balanced accuracy, which is not fooled")
    trained = [event["child_succeeded"] for each in events for event in each if "child_succeeded" in event]
    assert len(trained) > 1
    assert len(trained) == len({child["weights_sha256"] for child in trained})


@pytest.mark.parametrize(
    ("dataset", "status", "sentence"),
    [
        ("folder:nothing", 2, "is read from the folder <data root>/nothing, which is not there"),
        ("folder:empty", 2, "it has no folder with images; put each class into a folder of its own"),
        ("folder:one", 2, "'cat' is its only class folder, and a search needs at least two classes"),
        ("folder:few", 2, "class 'dog' has only 2 of the 3 images that it needs"),
        ("folder:bad", 2, "1 of 25 images of data set 'folder:bad' cannot be read (first: image 13 of class 'dog' is"),
        ("folder:../state", 6, "'folder:../state' lies outside the server's data root"),
        ("folder:/etc", 6, "'folder:/etc' lies outside the server's data root"),
        ("kau:pets", 2, "no image in a folder called like BIRAD1, Birad 3 or BI-RADS_4"),
        ("kau", 2, "is read from the folder <data root>/kau, which is not there"),
        ("folder", 2, "the data sets are digits, fashion-mnist, folder:PATH, kau, kau:PATH, manifest:PATH, mnist"),
        ("mnist:pets", 2, "there is no data set 'mnist:pets'"),
    ],
)
def test_bad_data_is_one_sentence(fake: RealServer, dataset: str, status: int, sentence: str) -> None:
    """What is wrong and what helps, with the documented exit code, and nothing is left running or named."""
    refused = fake.client("start", "--dataset", dataset, "--block", "ib")

    assert status == refused.returncode, refused.stderr
    assert sentence in refused.stderr
    assert 1 == refused.stderr.strip().count("\n") + 1
    assert str(fake.folder) not in refused.stderr
    assert "secret-name" not in refused.stderr + fake.log
    assert "Traceback" not in fake.log


def test_the_report_names_the_files(fake: RealServer) -> None:
    """The sentence says where the names are: below the state folder, for its owner only."""
    refused = fake.client("start", "--dataset", "folder:bad", "--block", "ib").stderr

    (path,) = [word for word in refused.split() if word.endswith(".report.json")]
    report = fake.state_dir / path
    assert ["dog/secret-name.png"] == [image["file"] for image in json.loads(report.read_text())["unreadable"]]
    assert 0o600 == stat.S_IMODE(report.stat().st_mode)


def test_class_maps_are_for_kau(fake: RealServer) -> None:
    """Elsewhere the option would do nothing in silence."""
    refused = fake.client("start", "--dataset", "folder:pets", "--block", "ib", "--class-map", "binary")

    assert 2 == refused.returncode
    assert "--class-map binary is for data set kau, not for 'folder:pets'" in refused.stderr


def _require_no_name(server: RealServer, text: str, names: list[str]) -> None:
    """Check that no file name is told where others can read it; worker logs included."""
    logs = "".join(path.read_text() for path in (server.state_dir / "searches").rglob("*.log"))
    journal = b"".join(path.read_bytes() for path in server.state_dir.glob("journal*") if path.is_file())
    assert journal
    for name in names:
        assert name not in text
        assert name not in logs
        assert name.encode() not in journal
