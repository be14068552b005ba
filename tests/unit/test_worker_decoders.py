# SPDX-License-Identifier: Apache-2.0
"""Decoding in processes of its own: the same result as without, and a file that ends one is a fault with its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_files import draw, encode, write_folder

from nas.config import InputShape
from nas.data import ImageOptions, Limits, Reading, Wanted, prepare, read_file
from nas.data.folders.tree import FoundFile, Parts, Tree, open_tree
from nas.folders import FITS
from server.worker import decoders
from server.worker.decoders import DecoderProcesses

WANTED = Wanted(shape=InputShape(channels=1, height=8, width=8), limits=Limits())
PATCHED = """
import os, signal
from server.worker import decode, limits
limits.IMAGE_SECONDS = 1
real = decode.read_file
def read_file(tree, file, wanted):
    if file.parts[-1] == "7.png":
        {harm}
    return real(tree, file, wanted)
decode.read_file = read_file
decode.main()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """An open folder of forty images, one of 16 bits and one that is none."""
    write_folder(tmp_path / "root" / "pets", {"cat": 20, "dog": 20})
    (tmp_path / "root" / "pets" / "dog" / "broken.png").write_bytes(b"no image")
    (tmp_path / "root" / "pets" / "dog" / "dark.png").write_bytes(encode(draw(99).astype(np.uint16) * 16))
    with open_tree("folder:pets", "pets", tmp_path / "root") as tree:
        yield tree


def _read_all(tree: Tree, reader: DecoderProcesses, wanted: Wanted = WANTED) -> dict[Parts, Reading]:
    return {file.parts: reading for file, reading in reader.read(tree, tree.walk().files, wanted)}


@pytest.mark.parametrize("fit", FITS)
def test_processes_read_what_this_process_reads(tree: Tree, fit: str) -> None:
    """Hash, header, pixels and faults, every file once, whatever the number of processes, also under their limits."""
    wanted = replace(WANTED, fit=fit)
    for most in (1, 3):
        found = _read_all(tree, DecoderProcesses(most), wanted)
        assert 42 == len(found)
        for file in tree.walk().files:
            expected = read_file(tree, file, wanted)
            reading = found[file.parts]
            assert (expected.sha256, expected.header, expected.fault) == (reading.sha256, reading.header, reading.fault)
            pictures = [
                one.picture and (one.picture.pixels_CHW.tolist(), one.picture.bits) for one in (expected, reading)
            ]
            assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "makes the decoder crash (signal 11)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "takes more memory or time to decode than this machine has"),
        ("while True: pass", "takes more processor time to decode than is allowed"),
    ],
)
def test_a_file_that_ends_its_process_is_a_fault(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, harm: str, fault: str
) -> None:
    """A crash, the kernel's out-of-memory killer, an endless loop in a decoder: all other files are read."""
    monkeypatch.setattr(decoders, "PROGRAM", ("-c", PATCHED.format(harm=harm)))

    found = _read_all(tree, DecoderProcesses(2))

    assert {fault} == {found[name, "7.png"].fault for name in ("cat", "dog")}
    assert 42 == len(found)
    assert 39 == sum(reading.picture is not None for reading in found.values())


def test_a_process_that_cannot_start_is_no_fault_of_the_files(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ours, and ends the reading."""
    monkeypatch.setattr(decoders, "PROGRAM", ("-c", "raise SystemExit(3)"))

    with pytest.raises(RuntimeError, match="ended with status 3"):
        _read_all(tree, DecoderProcesses(2))


def test_who_stops_reading_leaves_no_process(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that hangs."""
    monkeypatch.setattr(decoders, "PROGRAM", ("-c", PATCHED.format(harm="signal.pause()")))
    files: list[FoundFile] = tree.walk().files
    reading = DecoderProcesses(2).read(tree, files, WANTED)
    next(reading)

    reading.close()  # type: ignore[attr-defined]

    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not [command for command in commands if b"decode.main()" in command]


INTERRUPTED = """
import os, sys
from pathlib import Path
from nas.data import ImageOptions, InProcess, prepare
class Killed(InProcess):
    def read(self, tree, files, wanted):
        for number, found in enumerate(super().read(tree, files, wanted)):
            if number == 75:
                os._exit(9)
            yield found
import nas.data.images.survey
nas.data.images.survey._SETTLED_NS = -(10**12)
prepare("kau", data_root=Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), options=ImageOptions(reader=Killed()))
"""


def test_a_killed_ingest_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 files, 75 read when it was killed, at most 32 of them are read again, and the result is the same."""
    counts = {f"BIRAD{category}": 20 for category in (1, 3, 4, 5)}
    write_folder(tmp_path / "root" / "kau", counts)
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "root"), str(tmp_path / "cache")]
    assert 9 == subprocess.run(command, check=False).returncode
    monkeypatch.setattr("nas.data.images.survey._SETTLED_NS", -(10**12))
    told: list[tuple[int, int]] = []

    options = ImageOptions(on_progress=lambda done, total: told.append((done, total)))
    resumed = prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "cache", options=options)
    undisturbed = prepare("kau", data_root=tmp_path / "root", cache_dir=tmp_path / "other")

    assert undisturbed.fingerprint == resumed.fingerprint
    assert told[0][1] <= 80 - 64
    assert not list((tmp_path / "cache").glob("*.pixels"))


def test_verify_hashes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose bytes changed while size, times and inode seem the same is noticed with --verify only."""
    write_folder(tmp_path / "root" / "pets", {"cat": 6, "dog": 6})
    monkeypatch.setattr("nas.data.images.survey._SETTLED_NS", -(10**12))
    monkeypatch.setattr("nas.data.folders.tree._state", lambda found: (found.st_size, 0, 0, 0))

    def fingerprint(is_verifying: bool) -> str:
        options = ImageOptions(is_verifying=is_verifying)
        return prepare(
            "folder:pets", data_root=tmp_path / "root", cache_dir=tmp_path / "cache", options=options
        ).fingerprint

    first = fingerprint(False)
    cat = tmp_path / "root" / "pets" / "cat" / "0.png"
    dog = next(path for path in cat.parent.glob("*.png") if path != cat and path.stat().st_size == cat.stat().st_size)
    content, other = cat.read_bytes(), dog.read_bytes()
    cat.write_bytes(other)
    dog.write_bytes(content)

    assert first == fingerprint(False)
    assert first != fingerprint(True)


def test_the_signal_of_a_limit_is_known() -> None:
    """Signals that the kernel sends for a reason have a sentence."""
    assert {signal.SIGXCPU, signal.SIGKILL} == set(decoders._FAULTS)
