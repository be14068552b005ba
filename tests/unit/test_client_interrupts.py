# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in the middle of what must not be left half done."""

from __future__ import annotations

import signal
import threading

import pytest

from client.interrupts import hold_interrupts


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    """Nothing of the block is left out, the interrupt is not lost, and the next one comes at once again."""
    before = signal.getsignal(signal.SIGINT)
    done = []

    def work() -> None:
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert ["the rest of the block"] == done
    assert before is signal.getsignal(signal.SIGINT)


def test_an_error_of_the_block_is_what_it_is() -> None:
    """It comes through, and Ctrl-C works as before."""
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(ValueError, match="no call"), hold_interrupts():
        raise ValueError("no call")

    assert before is signal.getsignal(signal.SIGINT)


def test_other_threads_are_left_alone() -> None:
    """Python interrupts the main thread only, and lets no other change what happens then."""
    done = []

    def work() -> None:
        with hold_interrupts():
            done.append("work")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert ["work"] == done
