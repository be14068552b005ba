# SPDX-License-Identifier: Apache-2.0
"""Paths below the data root: whatever is typed or linked, nothing outside is reached and nothing is told about it."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from pathlib import Path

import pytest
from image_files import write_folder, write_image

from nas.data import (
    CachedDataset,
    EmptyFolderError,
    FolderError,
    MissingDataRootError,
    MissingFolderError,
    OneClassError,
    PathOutsideError,
    prepare,
)
from nas.data.folders.tree import FileError, FoundFile, open_tree

SECRET = b"root:x:0:0"
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with one good folder, and something outside that must stay secret."""
    write_folder(tmp_path / "root" / "pets", {"cat": 12, "dog": 12})
    write_folder(tmp_path / "outside" / "pets", {"cat": 12, "dog": 12}, first=100)
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    return tmp_path / "root"


def _prepare(root: Path, path: str) -> CachedDataset:
    return prepare(f"folder:{path}", data_root=root, cache_dir=root.parent / "cache")


@pytest.mark.parametrize("path", ["pets", "./pets/", "pets/cat/..", "{root}/pets", "{root}/../root/pets"])
def test_all_ways_to_a_folder_inside(root: Path, path: str) -> None:
    """Relative to the data root, or absolute inside it: one data set, one cache, one fingerprint."""
    expected = _prepare(root, "pets").fingerprint
    typed = path.format(root=root)

    found = _prepare(root, typed)

    assert (expected, f"folder:{typed}") == (found.fingerprint, found.name)


@pytest.mark.parametrize("path", ["..", "../outside/pets", "/", "/etc", "{outside}/pets", "pets/../../outside/pets"])
def test_paths_outside_are_not_permitted(root: Path, path: str) -> None:
    """The sentence names what was typed and what helps, whether or not there is anything."""
    typed = path.format(outside=root.parent / "outside")

    with pytest.raises(PathOutsideError) as caught:
        _prepare(root, typed)

    assert (
        f"'folder:{typed}' lies outside the server's data root; "
        "name a folder below it, or start the server with another --data-root"
    ) == str(caught.value)


def test_what_is_outside_is_not_told(root: Path) -> None:
    """There or not there, file or folder: the same error, so that nobody can look around by guessing."""
    kinds = set()
    for path in (
        "../outside",
        "../outside/secret",
        "../outside/nothing",
        "../nothing",
        "/root/.ssh",
        "/nothing/at/all",
    ):
        with pytest.raises(PathOutsideError) as caught:
            _prepare(root, path)
        kinds.add(str(caught.value).replace(path, ""))

    assert 1 == len(kinds)


def test_links_that_lead_out_are_not_followed(root: Path) -> None:
    """Neither as the folder itself, nor as a class, nor as a file; links inside count as what is left out."""
    outside = root.parent / "outside"
    (root / "away").symlink_to(outside / "pets")
    (root / "pets" / "bird").symlink_to(outside / "pets" / "cat")
    (root / "pets" / "cat" / "link.png").symlink_to(outside / "pets" / "cat" / "0.png")

    with pytest.raises(PathOutsideError):
        _prepare(root, "away")
    found = _prepare(root, "pets")

    assert ("cat", "dog") == found.class_names
    assert 24 == len(found.labels_N)
    assert ("left out: 2 links that the data set does not use",) == found.warnings


def test_a_link_to_a_folder_inside_is_a_name_for_it(root: Path) -> None:
    """Resolved first, then judged by where it leads."""
    (root / "animals").symlink_to(root / "pets")

    assert _prepare(root, "pets").fingerprint == _prepare(root, "animals").fingerprint


def test_a_folder_swapped_for_a_link_is_not_entered(root: Path) -> None:
    """Between listing and reading: the file that is then reached is not read, nor is a file that became a link."""
    outside = root.parent / "outside"
    with open_tree("folder:pets", "pets", root) as tree:
        files = {file.parts: file for file in tree.walk().files}
        (root / "pets" / "cat").rename(root / "pets" / "old")
        (root / "pets" / "cat").symlink_to(outside / "pets" / "cat")
        (root / "pets" / "dog" / "0.png").unlink()
        (root / "pets" / "dog" / "0.png").symlink_to(outside / "secret")

        for parts in (("cat", "0.png"), ("dog", "0.png")):
            with pytest.raises(FileError, match="cannot be read"):
                tree.read(files[parts], 1000)
        assert tree.read(files["dog", "1.png"], 10_000).startswith(b"\x89PNG")


def test_only_regular_files_are_read(root: Path) -> None:
    """A named pipe that would block, a socket and a device under an image's name hold nobody up."""
    os.mkfifo(root / "pets" / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "pets" / "dog" / "s.png"))
    with open_tree("folder:pets", "pets", root) as tree:
        listing = tree.walk()
        pipe = FoundFile(parts=("cat", "pipe.png"), state=())

        with pytest.raises(FileError, match="is no regular file"):
            tree.read(pipe, 1000)

    assert 2 == listing.passed_over
    assert ("left out: 2 links that the data set does not use",) == _prepare(root, "pets").warnings


def test_a_file_beyond_the_cap_is_not_read(root: Path) -> None:
    """The size is asked before a byte is read."""
    (root / "pets" / "cat" / "big.png").write_bytes(bytes(3 << 20))
    with open_tree("folder:pets", "pets", root) as tree:
        big = next(file for file in tree.walk().files if file.parts[-1] == "big.png")

        with pytest.raises(FileError, match="has 3 MiB, more than the 1 MiB allowed"):
            tree.read(big, 1 << 20)


def test_500_nasty_paths(root: Path) -> None:
    """Dots, backslashes, percent signs, NUL, unicode dots, devices, links, in any mixture: 0 escapes, never a crash."""
    pieces = ["..", ".", "pets", "away", "%2e%2e", "%252e", "..\\", "\\..\\", "\0", "．．", "‥", "~", "$HOME", " "]
    pieces += ["dev", "etc", "proc", "self", "fd", "root", "x" * 300, "\n", "‮", "loop", "*", "cat", ";ls", "\udce4"]
    (root / "away").symlink_to(root.parent / "outside")
    (root / "loop").symlink_to("loop")
    draw = random.Random(11)
    refusals = (PathOutsideError, MissingFolderError, EmptyFolderError, OneClassError, FolderError)
    reached = []
    for _ in range(500):
        path = draw.choice(["", "", "/", "//"]) + "/".join(draw.choices(pieces, k=draw.randint(1, 6)))
        try:
            found = _prepare(root, path or ".")
        except refusals as error:
            message = str(error)
            assert "\n" not in message
            assert len(message) < 700
            assert SECRET.decode() not in message
        else:
            reached.append((root / path).resolve())
            assert 24 == len(found.labels_N)

    assert set(reached) <= {root / "pets"}


def test_a_missing_folder_is_named_from_the_data_root(root: Path) -> None:
    """The sentence says where was looked, without the server's own paths."""
    with pytest.raises(MissingFolderError) as caught:
        _prepare(root, "pest/cat")

    assert (
        "data set 'folder:pest/cat' is read from the folder <data root>/pest/cat, which is not there; "
        "check the path, which starts at the server's --data-root"
    ) == str(caught.value)
    with pytest.raises(MissingFolderError):
        _prepare(root, "pets/cat/0.png")


def test_the_whole_file_system_is_no_root_worth_naming(root: Path, tmp_path: Path) -> None:
    """Where a folder may lie anywhere, paths are shown as they are."""
    with pytest.raises(MissingFolderError) as caught:
        prepare(f"folder:{root}/pest", data_root=Path("/"), cache_dir=tmp_path / "cache")

    assert str(caught.value).endswith(f"is read from the folder {root}/pest, which is not there; check the path")


def test_it_is_enough_to_be_let_through() -> None:
    """Folders on the way may be entered without being listed, as the one that holds everybody's homes."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_folder(root / "passage" / "pets", {"cat": 12, "dog": 12})
        root.chmod(0o711)
        (root / "passage").chmod(0o111)
        try:
            os.seteuid(user or NOBODY)  # to root, every folder is open
            with open_tree("folder:passage/pets", "passage/pets", root) as tree:
                assert 24 == len(tree.walk().files)
        finally:
            os.seteuid(user)
            (root / "passage").chmod(0o711)


def test_without_a_data_root_a_folder_says_how_to_set_one(tmp_path: Path) -> None:
    """Not set, or no folder."""
    for data_root in (None, tmp_path / "nothing"):
        with pytest.raises(
            MissingDataRootError, match=r"--data-root DIR or NAS_DATA_ROOT=DIR, where DIR/my/pets holds the files"
        ):
            prepare("folder:my/pets", data_root=data_root, cache_dir=tmp_path / "cache")


def test_a_tree_too_deep_is_refused(root: Path) -> None:
    """A folder that never ends is no data set."""
    deep = root / "deep" / "/".join("abcdefghijklmnopqrst")
    write_image(deep / "0.png", 1)

    with pytest.raises(FolderError, match="it is more than 16 folders deep"):
        _prepare(root, "deep")
