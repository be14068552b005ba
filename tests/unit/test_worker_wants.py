# SPDX-License-Identifier: Apache-2.0
"""What a worker lacks is an outcome; what it does wrong is a bug."""

from __future__ import annotations

import errno

import pytest
import torch

from nas.search.reasons import LostReason
from server.worker.__main__ import classify


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), LostReason.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), LostReason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), LostReason.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), LostReason.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), LostReason.DISK_FULL),
        (OSError(errno.EIO, "Input/output error"), None),
        (RuntimeError("shape mismatch"), None),
    ],
    ids=lambda value: getattr(value, "name", None) or str(value)[:24],
)
def test_classify(error: Exception, expected: LostReason | None) -> None:
    """Want of memory and of room are told from bugs."""
    assert expected is classify(error)


def test_this_machine_cannot_allocate_a_petabyte() -> None:
    """The sentence that torch really says on the CPU is recognised."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8)

    assert LostReason.OUT_OF_MEMORY is classify(caught.value)
