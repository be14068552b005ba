# SPDX-License-Identifier: Apache-2.0
"""A file that was moved durably is found after a power failure, whoever made the folders above it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas import durable


def test_every_folder_that_names_the_file_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file's own folder up to the root, in folders that were there and in those that were not."""
    root = tmp_path / "state"
    (root / "searches").mkdir(parents=True)
    source = root / "best"
    source.write_bytes(b"weights")
    target = root / "searches" / "one" / "weights" / "1-1.safetensors"
    synced = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        assert target.exists()
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    durable.move_durably(source, target, root=root)

    assert b"weights" == target.read_bytes()
    assert not source.exists()
    assert [target.parent, target.parent.parent, root / "searches", root] == synced
