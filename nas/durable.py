# SPDX-License-Identifier: Apache-2.0
"""Writing files and folders so that a power failure leaves either the old content or the new."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, and the new one once this returns.

    One writer per folder: the temporary file has a fixed name, so what a killed writer left is overwritten by the next.

    Raises:
        OSError: the disk is full or the folder is not writable; nothing but the old file is left then.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_durably(source: Path, target: Path, *, root: Path) -> None:
    """Rename a file within a file system, for good once this returns.

    Folders between ``root`` and the target are made where they are missing. All of them are synced, also those that
    were there: whoever made them may not have done so.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    for folder in target.parents:
        sync_folder(folder)
        if folder == root:
            return


def sync_file(path: Path) -> None:
    """Make the content of a file that was written and closed durable.

    Raises:
        OSError: it cannot be read, or the disk failed.
    """
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder durable.

    Raises:
        OSError: it cannot be read, or the disk failed.
    """
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
