# SPDX-License-Identifier: Apache-2.0
"""How a worker gets its data, and what the process that decodes images may use of the machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_files import write_folder, write_image

from nas.blocks import BlockType
from nas.child import ChildId
from nas.config import SearchConfig, TrainingConfig
from nas.search.reasons import AttemptKind
from server.codec.lines import WorkerRequest
from server.codec.preparing import ENVIRONMENT, PROGRAM, DataRequest
from server.executor.preparation import DataError, DataPreparation, PreparedData
from server.worker.dataset import DataChangedError, SealedPartError, load_training_data, open_test_part


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with two classes of twelve images."""
    write_folder(tmp_path / "root" / "pets", {"cat": 12, "dog": 12})
    return tmp_path / "root"


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreparedData]:
    """A folder with such a data root and its cache, made once by a process of its own."""
    folder = tmp_path_factory.mktemp("prepared")
    write_folder(folder / "root" / "pets", {"cat": 12, "dog": 12})
    return folder, asyncio.run(_prepare(folder / "root"))


@pytest.fixture
def attempt(prepared_once: tuple[Path, PreparedData], tmp_path: Path) -> WorkerRequest:
    """What a worker of a search on a copy of that folder is asked for; the test may do to the copy what it likes."""
    folder, prepared = prepared_once
    shutil.copytree(folder, tmp_path / "copy")
    return _request(tmp_path / "copy" / "root", prepared)


async def _prepare(root: Path, **settings: Any) -> PreparedData:
    preparation = DataPreparation(data_root=root, cache_dir=root.parent / "cache")
    return await preparation.prepare(_config(**settings))


def _config(**settings: Any) -> SearchConfig:
    return SearchConfig(dataset="folder:pets", block=BlockType.INCEPTION, **settings)


def _request(root: Path, prepared: PreparedData) -> WorkerRequest:
    return WorkerRequest(
        kind=AttemptKind.TRAINING,
        child_id=ChildId(1, 1),
        attempt=1,
        notation="F() FC(2)",
        graph_hash="",
        training=TrainingConfig(),
        threads=1,
        data=DataRequest.make(_config(), data_root=str(root), cache_dir=root.parent / "cache"),
        shape=prepared.summary.shape,
        fingerprint=prepared.summary.fingerprint,
        split_fingerprint=prepared.summary.split_fingerprint,
        totals=prepared.summary.counts.validation,
        commonest=0,
        others=(),
        epochs_recorded=0,
        best_epoch=0,
        checkpoint_dir="",
        weights_path="",
        weights_sha256="",
        epoch_seconds=0.0,
    )


def test_a_worker_needs_the_cache_only(attempt: WorkerRequest, tmp_path: Path) -> None:
    """What the search was started with is in the cache, whatever has become of the source."""
    shutil.rmtree(tmp_path / "copy" / "root")

    data = load_training_data(attempt, lambda: None)
    part = open_test_part(replace(attempt, kind=AttemptKind.TEST_EVALUATION), lambda: None)

    assert 24 == len(data.train_labels) + len(data.validation_labels) + len(part.labels)
    assert (len(part.labels), 1, 8, 8) == part.images.shape


def test_the_test_part_is_sealed_for_a_training(attempt: WorkerRequest) -> None:
    """Only an attempt that was journaled as a test evaluation gets it, and each reading of it can be heard."""
    heard: list[str] = []
    sys.addaudithook(lambda name, _: heard.append(name) if name == "nas.open_test_part" else None)

    with pytest.raises(SealedPartError, match="sealed until the search has stopped"):
        open_test_part(attempt, lambda: None)
    load_training_data(attempt, lambda: None)
    before = list(heard)
    open_test_part(replace(attempt, kind=AttemptKind.TEST_EVALUATION), lambda: None)

    assert ([], ["nas.open_test_part"]) == (before, heard)


def test_a_cache_that_is_gone_is_made_again(attempt: WorkerRequest, tmp_path: Path) -> None:
    """From the source, by a process of its own, and to the same bytes; a damaged one, too."""
    cache = tmp_path / "copy" / "cache"
    expected = load_training_data(attempt, lambda: None).train_images.tobytes()
    (images,) = cache.glob("folder-*/images.uint8")
    images.write_bytes(b"damaged")

    repaired = load_training_data(attempt, lambda: None)
    shutil.rmtree(cache)
    rebuilt = load_training_data(attempt, lambda: None)

    assert expected == repaired.train_images.tobytes() == rebuilt.train_images.tobytes()


def test_a_source_that_has_changed_is_refused(attempt: WorkerRequest, tmp_path: Path) -> None:
    """With the cache gone as well, the search cannot go on; the sentence says what would help."""
    shutil.rmtree(tmp_path / "copy" / "cache")
    write_image(tmp_path / "copy" / "root" / "pets" / "cat" / "0.png", 777)

    with pytest.raises(DataChangedError, match="has changed since the search was started; put the old files back"):
        load_training_data(attempt, lambda: None)
    shutil.rmtree(tmp_path / "copy" / "root" / "pets")

    with pytest.raises(DataChangedError, match="<data root>/pets, which is not there"):
        load_training_data(attempt, lambda: None)


def test_another_division_is_refused(attempt: WorkerRequest) -> None:
    """Whoever divides otherwise would train on what was to be the test part."""
    request = replace(attempt, split_fingerprint="0" * 64)

    with pytest.raises(DataChangedError, match="is divided differently than when the search was started"):
        load_training_data(request, lambda: None)


async def test_errors_keep_their_type_and_warnings_their_text(root: Path) -> None:
    """What the process says is what ``nas.data`` said."""
    (root / "pets" / "cat" / "3.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 of 24 images .* --max-bad-files allows 0") as caught:
        await _prepare(root)

    prepared = await _prepare(root, max_bad_files=1)

    assert "UnreadableImagesError" == caught.value.kind
    assert prepared.warnings[0].startswith("1 of 24 images cannot be read and are left out (first: image 6 of class")


async def test_the_cap_on_pixels_comes_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that reads larger or smaller images is told so by NAS_MAX_IMAGE_PIXELS."""
    monkeypatch.setenv("NAS_MAX_IMAGE_PIXELS", "63")

    with pytest.raises(DataError, match="image 1 of class 'cat' has more than 63 pixels; the server's NAS_MAX_IMAGE"):
        await _prepare(root)


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **ENVIRONMENT}
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit private memory")
def test_memory_is_limited() -> None:
    """3 GiB are refused to the process, 1 GiB are not, and mapping a file of any size is no use of memory."""
    program = (
        "from server.worker.limits import limit_memory\n"
        "limit_memory()\n"
        "import mmap, tempfile\n"
        "bytearray(1 << 30)\n"
        "file = tempfile.TemporaryFile()\n"
        "file.truncate(8 << 30)\n"
        "mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "try:\n    bytearray(3 << 30)\nexcept MemoryError:\n    print('refused')\n"
    )

    finished = _run(program)

    assert (0, "refused\n") == (finished.returncode, finished.stdout), finished.stderr


def test_processor_time_is_limited() -> None:
    """What takes too long ends with TimeoutError, the next image has its full time again, and the rest has no limit."""
    program = (
        "import time\n"
        "from server.worker import limits\n"
        "limits.IMAGE_SECONDS = 1\n"
        "def work():\n"
        "    begin = time.process_time()\n"
        "    while time.process_time() < begin + 2.5: sum(range(1000))\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        with limits.limited_processor(): work()\n"
        "    except TimeoutError:\n"
        "        print('refused')\n"
        "work()\n"
    )

    finished = _run(program)

    assert (0, "refused\nrefused\n") == (finished.returncode, finished.stdout), finished.stderr


def test_nobody_but_that_process_decodes(root: Path) -> None:
    """The modules of worker and server load no image decoder before they are asked for an attempt's data."""
    program = (
        "import sys\n"
        "import server.app, server.worker.__main__\n"
        "assert 'PIL' not in sys.modules, 'PIL'\n"
        "import nas.data.cache.entry, server.executor.preparation\n"
        f"print({json.dumps(list(PROGRAM))}[-1])\n"
    )

    finished = _run(program)

    assert (0, "server.worker.prepare\n") == (finished.returncode, finished.stdout), finished.stderr
