# SPDX-License-Identifier: Apache-2.0
"""IDX files: read right, and refused with the file and the reason before they can cost memory."""

from __future__ import annotations

import gzip
import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from idx_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, idx_bytes, write_idx_set

from nas.catalogue import CATALOGUE
from nas.data import CachedDataset, CorruptFileError, DatasetError, MissingDataRootError, MissingFilesError, prepare
from nas.data.registry import SOURCES


def _prepare(tmp_path: Path, dataset: str = "mnist") -> CachedDataset:
    return prepare(dataset, data_root=tmp_path / "root", cache_dir=tmp_path / "cache")


def _reason(tmp_path: Path, name: str) -> str:
    """Prepare, expect a refusal of the file ``name`` and return why; also that nothing is left and no path is shown."""
    with pytest.raises(CorruptFileError) as caught:
        _prepare(tmp_path)
    assert f"<data root>/mnist/{name}" == caught.value.file
    assert str(tmp_path) not in str(caught.value)
    cache = tmp_path / "cache"
    assert not cache.exists() or [".lock"] == os.listdir(cache)
    return caught.value.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain, valid set."""
    write_idx_set(tmp_path / "root" / "mnist")
    return tmp_path / "root" / "mnist"


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_in_order_training_part_first(tmp_path: Path, packed: bool) -> None:
    """Images, labels, shape and the start of the test part are what the files hold, packed or not."""
    write_idx_set(tmp_path / "root" / "mnist", train_per_class=3, test_per_class=1, packed=packed)

    cached = _prepare(tmp_path)

    assert (40, 1, 28, 28) == cached.images_NCHW.shape
    assert [*range(30), *range(10)] == cached.images_NCHW[:, 0, 27, 27].tolist()
    assert [i % 10 for i in range(40)] == cached.labels_N.tolist()
    assert 30 == cached.test_start
    assert tuple("0123456789") == cached.class_names


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path, folder: Path) -> None:
    """A file that a browser packed or unpacked without renaming it is read all the same."""
    plain = _prepare(tmp_path).fingerprint
    (folder / TEST_IMAGES).write_bytes(gzip.compress((folder / TEST_IMAGES).read_bytes()))
    (folder / TEST_LABELS).rename(folder / f"{TEST_LABELS}.gz")

    assert plain == _prepare(tmp_path).fingerprint


def test_fashion_mnist_has_its_own_class_names(tmp_path: Path) -> None:
    """Equal files under another name are another data set, with its classes by name."""
    write_idx_set(tmp_path / "root" / "mnist")
    write_idx_set(tmp_path / "root" / "fashion-mnist")

    fashion = _prepare(tmp_path, "fashion-mnist")

    assert ("T-shirt/top", "Ankle boot") == (fashion.class_names[0], fashion.class_names[9])
    assert fashion.fingerprint != _prepare(tmp_path).fingerprint


def test_missing_files_are_all_named_with_their_place(tmp_path: Path, folder: Path) -> None:
    """The sentence says which files are missing, where they go and what else helps."""
    (folder / TEST_IMAGES).unlink()
    (folder / TRAIN_LABELS).unlink()

    with pytest.raises(MissingFilesError) as caught:
        _prepare(tmp_path)

    assert (f"{TRAIN_LABELS}[.gz]", f"{TEST_IMAGES}[.gz]") == caught.value.missing
    assert (
        "data set 'mnist' is missing train-labels-idx1-ubyte[.gz], t10k-images-idx3-ubyte[.gz] "
        "under <data root>/mnist; put the files there or start the server with another --data-root"
    ) == str(caught.value)


def test_missing_folder_is_missing_files(tmp_path: Path) -> None:
    """A data root without the data set's folder lacks all four files."""
    (tmp_path / "root").mkdir()

    with pytest.raises(MissingFilesError) as caught:
        _prepare(tmp_path)

    assert 4 == len(caught.value.missing)


@pytest.mark.parametrize("data_root", [None, "absent", "a file"])
def test_missing_data_root_is_its_own_sentence(tmp_path: Path, data_root: str | None) -> None:
    """No data root, one that does not exist and one that is a file: each says how to set it."""
    (tmp_path / "a file").touch()
    root = None if data_root is None else tmp_path / data_root

    with pytest.raises(MissingDataRootError, match="start the server with --data-root DIR") as caught:
        prepare("mnist", data_root=root, cache_dir=tmp_path / "cache")

    assert (root is not None) == caught.value.is_configured
    assert str(tmp_path) not in str(caught.value)


def _truncate(content: bytes) -> bytes:
    return content[:-1]


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (TRAIN_IMAGES, _truncate, "declares 23520 bytes of values, which do not fit its size"),
        (TEST_LABELS, _truncate, "declares 10 bytes of values, which do not fit its size"),
        (TRAIN_IMAGES, lambda content: content + b"\0", "declares 23520 bytes of values, which do not fit its size"),
        (TRAIN_IMAGES, lambda content: content[:7], "ends within its header"),
        (TRAIN_LABELS, lambda content: b"", "ends within its header"),
        (TRAIN_IMAGES, lambda content: b"\0\0\x0d\x03" + content[4:], "starts with 00000d03"),
        (TRAIN_IMAGES, lambda content: b"\0\0\x08\x01" + content[4:], "starts with 00000801"),
        (TRAIN_LABELS, lambda content: b"P5\n2" + content[4:], "starts with 50350a32"),
        (TRAIN_LABELS, lambda content: content[:-1] + b"\x0a", "gives image 29 the label 10"),
        (TRAIN_LABELS, lambda content: idx_bytes(np.zeros(29, np.uint8)), "holds 29 labels for 30 images"),
        (TEST_IMAGES, lambda content: struct.pack(">HBB3I", 0, 8, 3, 0, 28, 28), "declares no values"),
        (TEST_IMAGES, lambda content: idx_bytes(np.zeros((10, 28, 27), np.uint8)), "holds images of 28x27 pixels"),
    ],
)
def test_damaged_plain_file_is_named_with_its_reason(
    tmp_path: Path, folder: Path, name: str, damage: Callable[[bytes], bytes], reason: str
) -> None:
    """Whatever is wrong with a plain file, the refusal names it and says what."""
    (folder / name).write_bytes(damage((folder / name).read_bytes()))

    assert reason in _reason(tmp_path, name)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda packed: packed[:-20], "ends in the middle of its gzip stream"),
        (lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:], "is no valid gzip stream"),
        (lambda packed: packed + b"garbage", "is no valid gzip stream"),
        (lambda packed: packed[:10] + b"\xff" * 20, "is no valid gzip stream"),
        (lambda packed: gzip.compress(gzip.decompress(packed)[:-1]), "ends before the last value"),
        (lambda packed: gzip.compress(gzip.decompress(packed) + b"\0"), "goes on after the last value"),
    ],
)
@pytest.mark.parametrize("name", [TEST_IMAGES, TEST_LABELS])
def test_damaged_gzip_file_is_named_with_its_reason(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes], reason: str
) -> None:
    """Truncated, garbled, checksum wrong, too short or too long inside: each is refused, and nothing is cached."""
    write_idx_set(tmp_path / "root" / "mnist", packed=True)
    file = tmp_path / "root" / "mnist" / f"{name}.gz"
    file.write_bytes(damage(file.read_bytes()))

    assert reason in _reason(tmp_path, file.name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("name", "header"),
    [
        (TRAIN_IMAGES, struct.pack(">HBB3I", 0, 8, 3, 2**31, 28, 28)),
        (TRAIN_IMAGES, struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
        (TRAIN_IMAGES, struct.pack(">HBB3I", 0, 8, 3, 100_000, 28, 28)),
        (TRAIN_LABELS, struct.pack(">HBBI", 0, 8, 1, 2**31)),
    ],
)
def test_false_header_costs_no_memory(
    tmp_path: Path, folder: Path, name: str, header: bytes, pack: Callable[[bytes], bytes]
) -> None:
    """A header that claims more than the file can hold is refused before anything is allocated for it."""
    (folder / name).write_bytes(pack(header + bytes(100)))

    tracemalloc.start()
    try:
        reason = _reason(tmp_path, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "bytes of values, " in reason
    assert peak < 2**20


def test_files_beyond_the_cap_are_refused(tmp_path: Path, folder: Path) -> None:
    """A file over 4 GiB is refused even if its header is true (here it has a hole and takes no disk)."""
    count = 2**32 // 28**2 + 1
    with (folder / TRAIN_IMAGES).open("wb") as file:
        file.write(struct.pack(">HBB3I", 0, 8, 3, count, 28, 28))
        file.truncate(16 + count * 28**2)

    with pytest.raises(CorruptFileError, match="more than the 4294967296 allowed"):
        SOURCES["mnist"](CATALOGUE["mnist"], tmp_path / "root").read()


def test_unpacked_bytes_beyond_the_header_are_never_read(tmp_path: Path, folder: Path) -> None:
    """A gzip bomb of 64 MiB behind a valid file costs one batch of memory, not its size."""
    bomb = gzip.compress((folder / TEST_IMAGES).read_bytes() + bytes(64 * 2**20))
    (folder / TEST_IMAGES).write_bytes(bomb)

    tracemalloc.start()
    try:
        reason = _reason(tmp_path, TEST_IMAGES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "goes on after the last value" in reason
    assert peak < 8 * 2**20


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """300 random flips and cuts of packed and plain files: a typed refusal or a whole data set, never a traceback."""
    choice = random.Random(20)
    outcomes: set[object] = set()
    for packed in (False, True):
        root = tmp_path / str(packed)
        write_idx_set(root / "mnist", train_per_class=1, packed=packed)
        files = sorted((root / "mnist").iterdir())
        for _ in range(150):
            file = choice.choice(files)
            intact = file.read_bytes()
            damaged = bytearray(intact)
            # Half of the damage goes where it is worst: into the header.
            end = choice.choice((16, len(damaged)))
            damaged[choice.randrange(min(end, len(damaged)))] ^= 1 << choice.randrange(8)
            file.write_bytes(damaged[: choice.randrange(len(damaged))] if choice.random() < 0.3 else damaged)

            try:
                cached = prepare("mnist", data_root=root, cache_dir=tmp_path / "cache")
                outcomes.add((20, 1, 28, 28) == cached.images_NCHW.shape and int(cached.labels_N.max()) <= 9)
            except DatasetError as error:
                outcomes.add(type(error))
            file.write_bytes(intact)

    assert {True, CorruptFileError} == outcomes


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_only_regular_files_are_opened(tmp_path: Path, folder: Path, make: Callable[[Path], None]) -> None:
    """A folder or a named pipe, which would block, in the place of a file is refused."""
    (folder / TRAIN_LABELS).unlink()
    make(folder / TRAIN_LABELS)

    assert "is no regular file" == _reason(tmp_path, TRAIN_LABELS)


def test_device_is_refused(tmp_path: Path, folder: Path) -> None:
    """An endless device behind a link is outside the data root like any other target."""
    (folder / TRAIN_LABELS).unlink()
    (folder / TRAIN_LABELS).symlink_to("/dev/zero")

    assert "is a link that leads out of the data root" == _reason(tmp_path, TRAIN_LABELS)


def test_link_out_of_the_data_root_is_refused(tmp_path: Path, folder: Path) -> None:
    """A link may point elsewhere inside the data root, never out of it."""
    (folder / TRAIN_LABELS).rename(tmp_path / "root" / "elsewhere")
    (folder / TRAIN_LABELS).symlink_to(tmp_path / "root" / "elsewhere")
    inside = _prepare(tmp_path)
    (tmp_path / "root" / "elsewhere").rename(tmp_path / "outside")
    (folder / TRAIN_LABELS).unlink()
    (folder / TRAIN_LABELS).symlink_to(tmp_path / "outside")

    with pytest.raises(CorruptFileError, match="is a link that leads out of the data root"):
        _prepare(tmp_path)

    assert 40 == len(inside.labels_N)


def test_link_to_itself_is_refused(tmp_path: Path, folder: Path) -> None:
    """Links in a circle end in the same kind of refusal."""
    (folder / TRAIN_LABELS).unlink()
    (folder / TRAIN_LABELS).symlink_to(folder / TRAIN_LABELS)

    assert "cannot be reached" in _reason(tmp_path, TRAIN_LABELS)
