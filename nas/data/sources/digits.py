# SPDX-License-Identifier: Apache-2.0
"""The handwritten digits that ship with scikit-learn: 1,797 images, 8x8, grey levels 0 to 16, no test part."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

import numpy as np

from nas.data.sources.source import Contents


class DigitsSource:
    """Reads the copy in the installed scikit-learn; needs no other files."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of scikit-learn's release, which is known without importing it (one second)."""
        return hashlib.sha256(f"scikit-learn {version('scikit-learn')}".encode()).hexdigest()

    def read(self) -> Contents:
        """Load the images and scale their grey levels from 0-16 to 0-255."""
        from sklearn.datasets import load_digits  # takes a second, and only building the cache needs it

        bunch = load_digits()
        levels_NHW = bunch.images.astype(np.int64)
        # round(x * 255 / 16) in integers; the one tie, x = 8, goes up to 128 under either rule for halves.
        images_NHW = ((levels_NHW * 255 + 8) // 16).astype(np.uint8)
        return Contents(
            labels_N=bunch.target.astype(np.int64),
            class_names=tuple(str(name) for name in bunch.target_names),
            test_start=None,
            batches_nCHW=iter((images_NHW[:, np.newaxis],)),
        )
