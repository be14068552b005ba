# SPDX-License-Identifier: Apache-2.0
"""Randomness is derived, never carried: every seed is a function of the search seed and of what it is for."""

from __future__ import annotations

import hashlib


def derive_seed(search_seed: int, *path: str | int) -> int:
    """Return a 63-bit seed for one purpose.

    Args:
        search_seed: the seed of the search.
        path: what the seed is for, such as ``("shuffle", "2-3", 4)``; equal paths give equal seeds on every machine.
    """
    text = "/".join(str(part) for part in (search_seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seeded_draw(search_seed: int, *path: str | int, below: int) -> int:
    """Draw an integer uniformly from ``range(below)``.

    Raises:
        ValueError: ``below`` is not positive.
    """
    if below < 1:
        raise ValueError(f"nothing to draw from: below={below}")
    # 256 bits against at most a few hundred choices: the bias of the remainder is under 2**-240.
    text = "/".join(str(part) for part in (search_seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % below
