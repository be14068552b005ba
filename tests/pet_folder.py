# SPDX-License-Identifier: Apache-2.0
"""A folder with two classes of images, made ready for a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from image_files import write_folder

from nas.data import CachedDataset, ImageOptions, prepare


def make_pets(folder: Path) -> Path:
    """Two classes of twelve images each in ``root/pets``."""
    write_folder(folder / "root" / "pets", {"cat": 12, "dog": 12})
    return folder / "root" / "pets"


def prepare_pets(pets: Path, **options: Any) -> CachedDataset:
    """Prepare that folder, or another one in its place; the cache lies beside its root."""
    root = pets.parent
    return prepare(
        f"folder:{pets.name}", data_root=root, cache_dir=root.parent / "cache", options=ImageOptions(**options)
    )


def read_report(found: CachedDataset) -> dict[str, Any]:
    """What was found while the images were read."""
    report: dict[str, Any] = json.loads(found.path.with_name(f"{found.path.name}.report.json").read_text())
    return report
