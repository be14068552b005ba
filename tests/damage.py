# SPDX-License-Identifier: Apache-2.0
"""Random damage to the contents of a file: flipped bits, truncations, zeros, garbage."""

from __future__ import annotations

import random
from collections.abc import Callable

_BLOCK = 512

Damage = Callable[[bytearray, random.Random], None]


def _flip(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _truncate(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def _empty(data: bytearray, _: random.Random) -> None:
    data.clear()


def _blank(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data)) // _BLOCK * _BLOCK
    data[start : start + _BLOCK] = bytes(len(data[start : start + _BLOCK]))


def _scribble(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    length = len(data[start : start + draw.randint(1, 4 * _BLOCK)])
    data[start : start + length] = draw.randbytes(length)


def _misplace(data: bytearray, draw: random.Random) -> None:
    source, target = (draw.randrange(len(data)) // _BLOCK * _BLOCK for _ in range(2))
    block = data[source : source + _BLOCK]
    data[target : target + len(block)] = block


def _extend(data: bytearray, draw: random.Random) -> None:
    data += draw.randbytes(draw.randint(1, 4 * _BLOCK))


_COMMON: tuple[Damage, ...] = (_flip, _flip, _flip, _truncate)
_RARE: tuple[Damage, ...] = (_empty, _blank, _scribble, _misplace, _extend)


def spoil(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Return the name of a damage and the content after it, which differs; flips and truncations are most of them."""
    while True:
        damage = draw.choice(_COMMON if draw.random() < 0.8 else _RARE)
        data = bytearray(content)
        damage(data, draw)
        if data != content:
            return damage.__name__.strip("_"), bytes(data)
