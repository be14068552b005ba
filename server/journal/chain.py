# SPDX-License-Identifier: Apache-2.0
"""One hash chain over the records of all searches: an altered, lost or reordered record shows in every later one."""

from __future__ import annotations

import hashlib
import struct

_DOMAIN = b"seib-nas journal record v1\0"
_NUMBERS = struct.Struct(">QQQQ")

GENESIS = hashlib.sha256(b"seib-nas journal genesis v1\0").digest()
"""The chain before the first record."""


def link(previous: bytes, *, position: int, search_id: str, sequence: int, payload: bytes) -> bytes:
    """Return the chain after one more record: 32 bytes.

    Args:
        previous: the chain before it.
        position: the record's number among those of all searches, from 1.
        search_id: the record's search.
        sequence: the record's number in its search, from 1.
        payload: the record's event.
    """
    name = search_id.encode()
    numbers = _NUMBERS.pack(
        position, sequence, len(name), len(payload)
    )  # both lengths come first: no two records collide
    return hashlib.sha256(b"".join((_DOMAIN, previous, numbers, name, payload))).digest()
