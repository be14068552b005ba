# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C at a moment that cannot bear it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a short block.

    For the creation of a call: an exception in the middle of it leaves a call that nobody ends, and closing its channel
    waits for that for ever (grpcio 1.85.1).

    Raises:
        KeyboardInterrupt: at the end of the block, if Ctrl-C was pressed in it.
    """
    if threading.current_thread() is not threading.main_thread():  # the only one that Python interrupts
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)
