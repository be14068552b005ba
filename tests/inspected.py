# SPDX-License-Identifier: Apache-2.0
"""The check of a folder as tests ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.data import ImageOptions, Inspection, check


def inspect(folder: Path, kind: str = "kau", most_names: int = 100, **options: Any) -> Inspection:
    """Check a folder of a data root beside which a cache lies."""
    return check(
        kind,
        folder.name,
        data_root=folder.parent,
        cache_dir=folder.parent.parent / "cache",
        options=ImageOptions(**options),
        seed=0,
        most_names=most_names,
    )
