# SPDX-License-Identifier: Apache-2.0
"""Limits of memory and processor time for processes that decode foreign files; the kernel enforces them.

Private memory is limited (RLIMIT_DATA), not address space (RLIMIT_AS): a cache of any size is mapped, and that costs no
memory. Linux; elsewhere the limits are set as far as the system knows them.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

MEMORY_BYTES = 2 * 2**30
"""More than any image within the limits of ``nas.data`` takes."""
IMAGE_SECONDS = 60
"""Processor time allowed per image; a large one takes a second."""


def limit_memory() -> None:
    """Allow ``MEMORY_BYTES`` more than are in use now, and no core file, which would contain images."""
    _lower(resource.RLIMIT_DATA, _data_bytes() + MEMORY_BYTES)
    _lower(resource.RLIMIT_CORE, 0)


def renew_processor() -> None:
    """Allow ``IMAGE_SECONDS`` of processor time from now on; the kernel ends a process that takes more."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = _used_seconds() + IMAGE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


@contextmanager
def limited_processor() -> Iterator[None]:
    """Raise ``TimeoutError`` in a ``with`` block that takes more than ``IMAGE_SECONDS`` of processor time."""
    before = signal.signal(signal.SIGXCPU, _raise)
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    renew_processor()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGXCPU, before)


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError("an image takes too much processor time")


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def _used_seconds() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int(usage.ru_utime + usage.ru_stime) + 1


def _data_bytes() -> int:
    """Private memory in use; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
