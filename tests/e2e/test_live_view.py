# SPDX-License-Identifier: Apache-2.0
"""The live view as its user meets it: a real server, the real client, a terminal; leave, come back, lose the server."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from real_server import RealServer
from terminal import LEAVE_SCREEN, Terminal

SEARCH = ("--dataset", "digits", "--block", "seib", "--seed", "5", "--max-iterations", "2", "--max-epochs", "3")
BRIEF = {"NAS_FAKE_EPOCH_SECONDS": "0.02"}
LENGTHY = {"NAS_FAKE_EPOCH_SECONDS": "0.5"}
ENDLESS = {"NAS_FAKE_EPOCH_SECONDS": "600"}
"""Seconds per epoch: the first attempt runs as long as the test looks."""


def test_start_shows_the_search_to_its_end(tmp_path: Path) -> None:
    """In a terminal ``start`` shows the search live, then its last frame and its summary."""
    with (
        RealServer(tmp_path, ("--executor", "fake"), BRIEF) as server,
        Terminal("--server", server.address, "start", *SEARCH) as terminal,
    ):
        status = terminal.finish()
        left = terminal.written.rpartition(LEAVE_SCREEN)[2]

        assert 0 == status
        assert "Traceback" not in terminal.written
        for piece in (
            "seib on digits",
            "iteration 2 of 2",
            "8/8 children done",
            "BEST 2-",
            "winner  ",
            "test accuracy",
        ):
            assert piece in left


def test_leave_and_come_back(tmp_path: Path) -> None:
    """Ctrl-C leaves the search running; the sentence that it ends with leads back to the same search, further on."""
    with RealServer(tmp_path, ("--executor", "fake"), LENGTHY) as server:
        with Terminal("--server", server.address, "start", *SEARCH, "--max-iterations", "30") as terminal:
            terminal.wait_for_frame("1-1   ")
            terminal.process.send_signal(signal.SIGINT)
            status = terminal.finish()
            way_back = re.search(r"come back with:\s+nas-client ([^\r\n]+)", terminal.text)
            assert way_back is not None
        with Terminal(*way_back[1].split()) as again:
            frame = again.wait_for_frame("succeeded")

        assert 130 == status
        assert "1-1   " in terminal.written.split(LEAVE_SCREEN)[1]
        assert frame[0].startswith(f"Search {way_back[1].split()[-1]}  running")


def test_a_new_server_is_found(tmp_path: Path) -> None:
    """Killing the server shows as a lost connection; its successor is found and the search goes on in the same view."""
    with (
        RealServer(tmp_path, ("--executor", "fake"), ENDLESS) as server,
        Terminal("--server", server.address, "start", *SEARCH) as terminal,
    ):
        address = server.address
        terminal.wait_for_frame("running   ░")
        server.kill()
        terminal.wait_for_frame("connection lost")
        server.options = (*server.options, "--listen", address)
        server.start()
        frame = terminal.wait_for_frame("attempt 1 lost: server restarted")

        assert "Connected again." in "\n".join(frame)
        assert "Traceback" not in terminal.written
