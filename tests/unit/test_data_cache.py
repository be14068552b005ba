# SPDX-License-Identifier: Apache-2.0
"""The cache: built once, whole or absent, checked to the last byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx_set

from nas.catalogue import CATALOGUE
from nas.config import InputShape
from nas.data import (
    CachedDataset,
    CacheError,
    CorruptFileError,
    ImageOptions,
    UnknownDatasetError,
    find_by_fingerprint,
    prepare,
)
from nas.data.cache.entry import locked, write
from nas.data.folders.layouts import LAYOUTS
from nas.data.registry import SOURCES
from nas.data.sources.idx import IdxSource
from nas.data.sources.source import Contents

GREY_28 = InputShape(channels=1, height=28, width=28)
FILES = ["images.uint8", "labels.int64", "meta.json", "meta.json.sha256"]

PREPARE = """
import sys
from pathlib import Path
from typing import Any
from nas.data import prepare
root, cache = map(Path, sys.argv[1:3])
print(prepare("mnist", data_root=root, cache_dir=cache).fingerprint)
"""

DIE_AT_CALL = """
import os, signal, sys
left = int(sys.argv[3])
def deadly(call):
    def wrapper(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return wrapper
os.fsync, os.rename, os.unlink, os.rmdir = map(deadly, (os.fsync, os.rename, os.unlink, os.rmdir))
"""

SAY_BEFORE_LOCK = """
import fcntl
take = fcntl.flock
def flock(*arguments):
    print("about to lock", flush=True)
    take(*arguments)
fcntl.flock = flock
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a small MNIST."""
    write_idx_set(tmp_path / "root" / "mnist")
    return tmp_path / "root"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder that does not exist yet."""
    return tmp_path / "state" / "cache"


def _prepare(root: Path, cache: Path, **options: Any) -> CachedDataset:
    return prepare("mnist", data_root=root, cache_dir=cache, options=ImageOptions(**options))


def _start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_every_data_set_of_the_catalogue_has_a_source() -> None:
    """The catalogue promises nothing that cannot be read, and nothing can be read that it does not list."""
    assert set(CATALOGUE) == set(SOURCES) | set(LAYOUTS)
    assert {name for name, info in CATALOGUE.items() if info.is_folder} == set(LAYOUTS)


def test_unknown_data_set_is_refused_with_the_known_ones(cache: Path) -> None:
    """The sentence names what there is; a path is a name like any other and leads nowhere."""
    with pytest.raises(UnknownDatasetError) as caught:
        prepare("../mnist", data_root=None, cache_dir=cache)

    assert ("digits", "fashion-mnist", "folder:PATH", "kau", "kau:PATH", "manifest:PATH", "mnist") == caught.value.known
    assert str(caught.value).startswith("there is no data set '../mnist'; the data sets are digits, fashion-mnist, ")
    assert not cache.exists()


def test_cache_is_one_folder_of_mapped_bytes(root: Path, cache: Path) -> None:
    """The images are a read-only map of a file that holds nothing else."""
    cached = _prepare(root, cache)

    assert FILES == sorted(os.listdir(cached.path))
    assert isinstance(cached.images_NCHW, np.memmap)
    assert not cached.images_NCHW.flags.writeable
    assert not cached.labels_N.flags.writeable
    assert cached.images_NCHW.tobytes() == (cached.path / "images.uint8").read_bytes()
    assert sorted([".lock", cached.path.name]) == sorted(os.listdir(cache))


def test_intact_cache_is_reused(root: Path, cache: Path) -> None:
    """The second call writes nothing: the very same files are opened."""
    first = _prepare(root, cache)
    before = [os.stat(first.path / name).st_ino for name in FILES]

    second = _prepare(root, cache)

    assert first.fingerprint == second.fingerprint
    assert before == [os.stat(second.path / name).st_ino for name in FILES]


def test_intact_cache_is_opened_without_the_lock(root: Path, cache: Path) -> None:
    """A builder at work, or stuck, delays nobody whose cache is there."""
    first = _prepare(root, cache)

    with locked(cache, "mnist"):
        second = _prepare(root, cache)

    assert first.fingerprint == second.fingerprint


def test_other_source_files_make_another_cache(root: Path, cache: Path) -> None:
    """Changed files are noticed although a cache exists, and the old one stays for whoever runs on it."""
    first = _prepare(root, cache)
    write_idx_set(root / "mnist", train_per_class=4)

    second = _prepare(root, cache)

    assert first.fingerprint != second.fingerprint
    assert 50 == len(second.labels_N)
    kept = find_by_fingerprint(cache, first.fingerprint)
    assert kept is not None
    assert first.path == kept.path


def test_packing_is_no_part_of_the_fingerprint(root: Path, cache: Path, tmp_path: Path) -> None:
    """The same images from gzip files are the same data set."""
    write_idx_set(tmp_path / "packed" / "mnist", packed=True)

    assert _prepare(root, cache).fingerprint == _prepare(tmp_path / "packed", cache).fingerprint


def test_input_size_scales_every_image(root: Path, cache: Path) -> None:
    """Image i is filled with i, so its scaled form is, too; the shape and the fingerprint are others."""
    own, scaled = _prepare(root, cache), _prepare(root, cache, input_size=37)

    assert InputShape(channels=1, height=37, width=37) == scaled.shape
    assert (40, 1, 37, 37) == scaled.images_NCHW.shape
    np.testing.assert_array_equal(own.images_NCHW[:, :, :1, :1], scaled.images_NCHW.min(axis=(2, 3), keepdims=True))
    np.testing.assert_array_equal(own.images_NCHW[:, :, :1, :1], scaled.images_NCHW.max(axis=(2, 3), keepdims=True))
    assert own.fingerprint != scaled.fingerprint


@pytest.mark.parametrize("name", FILES)
def test_every_byte_of_the_cache_is_checked(root: Path, cache: Path, name: str) -> None:
    """A flipped bit, a missing or an added byte or a missing file in the cache is built anew, to the same bytes."""
    cached = _prepare(root, cache)
    file = cached.path / name
    intact = file.read_bytes()
    middle = len(intact) // 2
    flipped = intact[:middle] + bytes((intact[middle] ^ 1,)) + intact[middle + 1 :]

    for damaged in (flipped, intact[:-1], intact + b"\0", b"", None):
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        again = _prepare(root, cache)

        assert cached.fingerprint == again.fingerprint
        assert intact == file.read_bytes()
        assert sorted([".lock", cached.path.name]) == sorted(os.listdir(cache))


def test_a_fingerprint_leads_to_what_prepare_gave(root: Path, cache: Path) -> None:
    """A worker that knows the cache and the fingerprint has the same data set."""
    cached = _prepare(root, cache)

    opened = find_by_fingerprint(cache, cached.fingerprint)

    assert opened is not None
    np.testing.assert_array_equal(cached.images_NCHW, opened.images_NCHW)
    np.testing.assert_array_equal(cached.labels_N, opened.labels_N)
    assert ("mnist", cached.shape, cached.class_names, 30) == (
        opened.name,
        opened.shape,
        opened.class_names,
        opened.test_start,
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.json", b"{}"),
        ("labels.int64", bytes(8 * 40)),
        ("labels.int64", None),
        ("images.uint8", b"short"),
        ("images.uint8", bytes(40 * 28 * 28)),
        ("images.uint8", None),
    ],
)
def test_a_damaged_cache_is_not_found(root: Path, cache: Path, name: str, content: bytes | None) -> None:
    """A search goes on with nothing but the bytes it was started with."""
    cached = _prepare(root, cache)
    (cached.path / name).unlink()
    if content is not None:
        (cached.path / name).write_bytes(content)

    assert find_by_fingerprint(cache, cached.fingerprint) is None


def test_another_fingerprint_is_not_found(root: Path, cache: Path) -> None:
    """A search goes on only with the data it was started with."""
    _prepare(root, cache)

    assert find_by_fingerprint(cache, "0" * 64) is None


def test_processes_may_prepare_at_once(root: Path, cache: Path) -> None:
    """Four processes that start together agree on one cache, and nothing else is left."""
    processes = [_start(PREPARE, root, cache) for _ in range(4)]

    outputs = [process.communicate()[0].strip() for process in processes]

    assert [0] * 4 == [process.returncode for process in processes]
    assert 1 == len(set(outputs))
    assert 2 == len(os.listdir(cache))


def test_builders_wait_for_the_lock(root: Path, cache: Path) -> None:
    """Who finds a builder at work waits for it, and then uses what it built instead of building again."""
    path = _prepare(root, cache).path
    shutil.rmtree(path)
    with locked(cache, path.name):
        process = _start(SAY_BEFORE_LOCK + PREPARE, root, cache)
        assert process.stdout is not None
        assert "about to lock\n" == process.stdout.readline()
        contents = SOURCES["mnist"](CATALOGUE["mnist"], root).read()
        write(path, name="mnist", shape=GREY_28, contents=contents)
        built = os.stat(path / "images.uint8").st_ino

    process.communicate()

    assert 0 == process.returncode
    assert built == os.stat(path / "images.uint8").st_ino


def test_kill_at_any_point_leaves_nothing_half_written(root: Path, cache: Path) -> None:
    """SIGKILL before each sync, rename and removal of a build over a damaged cache: the next call has it whole."""
    cached = _prepare(root, cache)
    points = 0
    while True:
        (cached.path / "labels.int64").write_bytes(b"damaged")
        process = _start(DIE_AT_CALL + PREPARE, root, cache, points + 1)
        process.communicate()
        if process.returncode == 0:
            break
        points += 1
        assert -signal.SIGKILL == process.returncode
        assert cached.fingerprint == _prepare(root, cache).fingerprint
        assert sorted([".lock", cached.path.name]) == sorted(os.listdir(cache))

    assert 12 == points  # sync four files and their folder, remove four files and their folder, rename, sync


def test_source_that_changes_while_it_is_read_is_refused(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache never holds a mixture of two states of the files."""

    class RestlessSource(IdxSource):
        def read(self) -> Contents:
            contents = super().read()
            write_other_images()
            return contents

    def write_other_images() -> None:
        file = root / "mnist" / "t10k-images-idx3-ubyte"
        file.write_bytes(file.read_bytes()[:-1] + b"\xff")

    monkeypatch.setitem(SOURCES, "mnist", RestlessSource)

    with pytest.raises(CorruptFileError, match="<data root>/mnist cannot be used: it changed while it was read"):
        _prepare(root, cache)

    assert [".lock"] == os.listdir(cache)


def test_source_that_hands_over_too_few_images_is_refused(root: Path, cache: Path) -> None:
    """As many images as labels, or no cache."""
    contents = SOURCES["mnist"](CATALOGUE["mnist"], root).read()
    first_nCHW = next(contents.batches_nCHW)
    short = replace(contents, batches_nCHW=iter((first_nCHW[:-1],)))

    with pytest.raises(CacheError, match="would not hold 40 images of 1x28x28"), locked(cache, "mnist-1"):
        write(cache / "mnist-1", name="mnist", shape=GREY_28, contents=short)

    assert [".lock"] == os.listdir(cache)


def test_cache_beyond_the_disk_is_refused_at_once(cache: Path) -> None:
    """Before an image is read, the need is compared with the room there is."""
    endless = Contents(
        labels_N=np.broadcast_to(np.int64(0), (10**9,)), class_names=("0",), test_start=None, batches_nCHW=iter(())
    )
    shape = InputShape(channels=1, height=65536, width=65536)

    with pytest.raises(CacheError, match=r"needs 4294967304\.0 GB of disk, and .* GB are free"), locked(cache, "huge"):
        write(cache / "huge", name="huge", shape=shape, contents=endless)

    assert [".lock"] == os.listdir(cache)


def test_cache_folder_that_cannot_be_made_is_one_sentence(root: Path, tmp_path: Path) -> None:
    """A file in the place of the cache folder: a typed error without a path."""
    (tmp_path / "file").touch()

    with pytest.raises(CacheError, match=r"cannot be written \(Not a directory\)") as caught:
        _prepare(root, tmp_path / "file" / "cache")

    assert str(tmp_path) not in str(caught.value)


def test_failed_build_leaves_the_lock_free(root: Path, cache: Path) -> None:
    """After a refusal the same process can go on as soon as the file is replaced."""
    labels = root / "mnist" / "t10k-labels-idx1-ubyte"
    intact = labels.read_bytes()
    labels.write_bytes(intact[:-1])
    with pytest.raises(CorruptFileError):
        _prepare(root, cache)
    labels.write_bytes(intact)

    assert 40 == len(_prepare(root, cache).labels_N)
