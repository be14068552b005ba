# SPDX-License-Identifier: Apache-2.0
"""Downloads through torchvision, from a mirror on this machine: the public ones were not asked."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from idx_files import write_idx_set

from nas.data import DownloadError, MissingFilesError, download, prepare


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _mirror(folder: Path) -> Iterator[str]:
    """Serve a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that torchvision takes for MNIST's second mirror; the first one is down."""
    datasets = pytest.importorskip("torchvision.datasets")
    folder = tmp_path / "published"
    write_idx_set(folder, packed=True)
    files = [f"{name}.gz" for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")]
    files += [f"{name}.gz" for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")]
    resources = [(name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for name in files]  # noqa: S324
    with _mirror(folder) as address:
        monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:1/", address])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        (tmp_path / "root").mkdir()
        yield folder


def test_missing_files_are_fetched_and_can_be_used(published: Path, tmp_path: Path) -> None:
    """From the first mirror that answers, and nothing else is left behind."""
    download("mnist", tmp_path / "root")

    assert 40 == len(prepare("mnist", data_root=tmp_path / "root", cache_dir=tmp_path / "cache").labels_N)
    assert sorted(os.listdir(published)) == sorted(os.listdir(tmp_path / "root" / "mnist"))


def test_files_that_are_there_are_not_fetched(published: Path, tmp_path: Path) -> None:
    """Not one of them: what the user has put there stays."""
    write_idx_set(tmp_path / "root" / "mnist", train_per_class=5)
    before = {file.name: file.read_bytes() for file in (tmp_path / "root" / "mnist").iterdir()}

    download("mnist", tmp_path / "root")

    assert before == {file.name: file.read_bytes() for file in (tmp_path / "root" / "mnist").iterdir()}


@pytest.mark.parametrize("fault", ["other content", "nothing there"])
def test_a_failed_download_is_one_sentence(published: Path, tmp_path: Path, fault: str) -> None:
    """Wrong bytes are as bad as none; nothing half-fetched is left."""
    damaged = published / "t10k-labels-idx1-ubyte.gz"
    damaged.unlink()
    if fault == "other content":
        damaged.write_bytes(b"other")

    with pytest.raises(DownloadError) as caught:
        download("mnist", tmp_path / "root")

    message = str(caught.value)
    assert message.startswith("data set 'mnist' could not be downloaded: no mirror has t10k-labels-idx1-ubyte.gz (127.")
    assert message.endswith("; try again, or put the files into <data root>/mnist yourself")
    assert message.isprintable()
    assert [] == os.listdir(tmp_path / "root" / "mnist")
    with pytest.raises(MissingFilesError):
        prepare("mnist", data_root=tmp_path / "root", cache_dir=tmp_path / "cache")


def test_what_nobody_mirrors_is_left_alone(tmp_path: Path) -> None:
    """Folders and data sets that ship are no business of a download, nor is a data root that is not there."""
    for dataset in ("digits", "kau", "folder:pets"):
        download(dataset, tmp_path)
    download("mnist", None)
    download("mnist", tmp_path / "nothing")

    assert [] == os.listdir(tmp_path)
