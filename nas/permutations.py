# SPDX-License-Identifier: Apache-2.0
"""Shuffling that gives the same order for the same seed with every release of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def seeded_permutation(seed: int, count: int) -> npt.NDArray[np.int64]:
    """Shuffle ``range(count)``.

    It ranks one raw 64-bit word per number of the counter-based Philox generator, whose stream numpy guarantees across
    versions; ``Generator.permutation`` has no such promise. Two equal words, the only source of a bias, do not happen.

    Returns:
        An array of shape (count,).
    """
    words = np.random.Philox(key=seed).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)
