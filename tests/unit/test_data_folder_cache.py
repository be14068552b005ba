# SPDX-License-Identifier: Apache-2.0
"""A folder of one's own images, prepared again: what is read, what is not, and what is found out."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from image_files import write_image
from pet_folder import make_pets, prepare_pets

from nas.data import (
    CorruptFileError,
    find_by_fingerprint,
    prepare,
)
from nas.data.folders.tree import Tree
from nas.data.images import survey
from nas.data.images.source import ImageSource


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of twelve images each."""
    return make_pets(tmp_path)


class _Reads:
    """Counts what is read of image files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = Tree.read

        def counted(tree: Tree, *arguments: Any) -> bytes:
            self.count += 1
            return read(tree, *arguments)

        monkeypatch.setattr(Tree, "read", counted)


def test_content_is_read_once(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start hashes and decodes; later ones compare size, times and inode, and read what has changed."""
    monkeypatch.setattr(survey, "_SETTLED_NS", -(10**12))
    reads = _Reads(monkeypatch)
    first = prepare_pets(pets)
    assert 48 == reads.count

    second = prepare_pets(pets)
    assert (48, first.fingerprint) == (reads.count, second.fingerprint)

    write_image(pets / "cat" / "0.png", 555)
    assert first.fingerprint != prepare_pets(pets).fingerprint
    assert 48 + 1 + 24 == reads.count


def test_an_option_at_its_default_changes_nothing(pets: Path) -> None:
    """The name of the cache's entry leaves defaults out, so an option that is added later changes no name."""
    plain = prepare_pets(pets).path

    assert plain == prepare_pets(pets, fit="pad", sample_bits=0).path
    assert 3 == len({plain, prepare_pets(pets, fit="crop").path, prepare_pets(pets, sample_bits=12).path})


def test_names_that_are_no_text_are_told_apart(pets: Path) -> None:
    """Names and patients may hold bytes that are no UTF-8; other names are another data set, the same are the same."""
    file, paths = pets / "cat" / "0.png", []
    for name in (b"0.png", b"\xfe.png", b"\xff.png", b"\xff\xfe.png", b"\xfe.png", b"0.png"):
        file = file.rename(file.with_name(os.fsdecode(name)))
        paths.append(prepare_pets(pets, group_regex=r"([^/]+)\.png").path)

    assert 4 == len(set(paths))
    assert paths[1] == paths[4]
    assert paths[0] == paths[5]


def test_a_fresh_file_is_not_taken_for_known(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed just now may change again within the same tick, so it is hashed again."""
    reads = _Reads(monkeypatch)
    prepare_pets(pets)

    prepare_pets(pets)

    assert (24 + 24 + 24) + 24 == reads.count  # survey, decode, check; survey


def test_a_damaged_index_costs_time_only(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index with a flipped bit, or none, is made anew, and the data set is the same."""
    monkeypatch.setattr(survey, "_SETTLED_NS", -(10**12))
    expected = prepare_pets(pets).fingerprint
    (index,) = (pets.parent.parent / "cache").glob("index-*.jsonl")
    intact = index.read_bytes()
    for damaged in (intact[:-9] + b"[0,0,0,0]", intact[:100], b"", b"\xff"):
        index.write_bytes(damaged)

        assert expected == prepare_pets(pets).fingerprint
        lines = {line for line in intact.splitlines() if b".png" in line}
        assert (24, set()) == (len(lines), lines - set(index.read_bytes().splitlines()))
    assert 0o600 == stat.S_IMODE(index.stat().st_mode)


def test_a_lost_report_is_written_again(pets: Path) -> None:
    """There is no cache without its report, for the warnings come from there."""
    (pets / "notes.txt").write_text("x")
    found = prepare_pets(pets)
    report = found.path.with_name(f"{found.path.name}.report.json")
    for damaged in (None, b"", b"{}", b"[]"):
        report.unlink()
        if damaged is not None:
            report.write_bytes(damaged)

        assert found.warnings == prepare_pets(pets).warnings


def test_images_that_change_while_they_are_read_are_refused(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache never holds a mixture of two states of a folder."""
    read = ImageSource.read

    def read_late(source: ImageSource) -> Any:
        write_image(pets / "cat" / "5.png", 999)
        return read(source)

    monkeypatch.setattr(ImageSource, "read", read_late)

    with pytest.raises(CorruptFileError, match="<data root>/pets cannot be used: it changed while it was read"):
        prepare_pets(pets)

    assert not list((pets.parent.parent / "cache").glob("folder-*"))


def test_every_byte_of_a_folder_cache_is_checked(tmp_path: Path) -> None:
    """Like any cache, groups included: damage is found by fingerprint and built anew to the same bytes."""
    folder = tmp_path / "root" / "kau"
    for number in range(60):
        write_image(folder / f"BIRAD{(1, 3, 4)[number % 3]}" / f"2016_BC{number // 2:06}_ CC_L.png", number)
    kau = prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "cache")
    groups = kau.path / "groups.int64"
    intact = groups.read_bytes()
    for damaged in (intact[:-1], intact[:-8], bytes(len(intact)), intact + b"\0"):
        groups.write_bytes(damaged)
        assert find_by_fingerprint(tmp_path / "cache", kau.fingerprint) is None

        assert kau.fingerprint == prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "cache").fingerprint
        assert intact == groups.read_bytes()
    assert find_by_fingerprint(tmp_path / "cache", kau.fingerprint) is not None
    assert find_by_fingerprint(tmp_path / "nowhere", kau.fingerprint) is None
