# SPDX-License-Identifier: Apache-2.0
"""The live view on a real terminal, over a real wire: it comes, changes, goes, and leaves the terminal as it was."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest
import search_records as records
import search_stream as stream
from real_server import wait_for
from scripted_service import Open, Refusal, Script, ScriptedServer
from terminal import ENTER_SCREEN, HIDE_CURSOR, LEAVE_SCREEN, SHOW_CURSOR, Terminal

from nas.api.v1 import event_pb2, search_pb2, search_service_pb2

EVENTS = stream.long_search(60)
LOST = Refusal(code=grpc.StatusCode.UNAVAILABLE)
DONE = "3/8 children done"
"""What the view says once the children that ``EVENTS`` end have ended."""
HINT = "Ctrl-C leaves the search running."
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@pytest.fixture
def script() -> Script:
    """A script of a search that is at work; tests write other streams."""
    answers = {"GetSearch": [search_service_pb2.GetSearchResponse(search=records.search())]}
    return Script(answers=answers, streams=[[*EVENTS, Open()]])


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    """A server that plays the script."""
    with ScriptedServer(script) as server:
        yield server


def watch(server: ScriptedServer, *options: str, environment: Mapping[str, str] | None = None) -> Terminal:
    """Run ``watch`` on a terminal of 80x24."""
    return Terminal("--server", server.address, "watch", records.SEARCH_ID, *options, environment=environment)


def ended() -> list[event_pb2.Event]:
    """The events of a search that was cancelled."""
    cancelled = event_pb2.SearchCancelled(incumbent_id="1-3")
    return [*EVENTS, stream.event(len(EVENTS) + 1, search_cancelled=cancelled)]


def test_one_screen_is_kept_up_to_date(server: ScriptedServer) -> None:
    """A frame fills the terminal: settings, children, and how to leave; the cursor is out of the way."""
    with watch(server) as terminal:
        frame = terminal.wait_for_frame(DONE)

        assert frame[0].startswith(f"Search {records.SEARCH_ID}  running  ib on mnist")
        assert "1-1   widen(1, by=32)             418018 succeeded █████ 10/10  0.2500  90.00 %" == frame[4]
        assert HINT == frame[-1]
        assert ENTER_SCREEN + HIDE_CURSOR in terminal.written.replace("\x1b[H", "", 1)


def test_ctrl_c_leaves_the_last_frame_and_the_way_back(script: Script, server: ScriptedServer) -> None:
    """Leaving gives the terminal back as it was, with the last frame and one sentence; nothing is cancelled."""
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        terminal.process.send_signal(signal.SIGINT)
        status = terminal.finish()
        after = terminal.written.split(LEAVE_SCREEN)[1]

        assert 130 == status
        assert SHOW_CURSOR in terminal.written
        assert "1-8" in after
        assert HINT not in after
        assert f"come back with:\r\n  nas-client --server {server.address} watch {records.SEARCH_ID}" in after
        assert "Traceback" not in after
        assert not script.asked(search_service_pb2.CancelSearchRequest)


def test_the_end_leaves_the_last_frame_and_the_summary(script: Script, server: ScriptedServer) -> None:
    """A search that is over is told at once, warnings, last frame and summary, in the usual place."""
    warned = event_pb2.Event()
    warned.CopyFrom(EVENTS[0])
    warned.search_started.warnings.append("the classes differ in size")
    script.streams = [[warned, *ended()[1:]]]

    with watch(server) as terminal:
        status = terminal.finish()
        frame, warning, summary = terminal.text.rpartition("Warning: the classes differ in size")

        assert 0 == status  # what the summary says counts
        assert f"Search {records.SEARCH_ID}  cancelled  ib on mnist" in frame
        assert warning
        assert f"Search {records.SEARCH_ID} succeeded after 0:01:05" in summary


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("--plain",), {}),
        (("--after", "1"), {}),
        ((), {"NAS_WATCH_PLAIN": "1"}),
        ((), {"TERM": "dumb"}),
        ((), {"TERM": ""}),
        ((), {"PYTHONIOENCODING": "iso-8859-1"}),
    ],
    ids=["option", "after", "environment", "dumb", "no TERM", "no UTF-8"],
)
def test_plain_lines(
    script: Script, server: ScriptedServer, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Whoever asks for lines, or has a terminal that can do no more, gets lines that fit, without control sequences."""
    script.streams = [[*EVENTS[1 if "--after" in options else 0 :], Open()]]
    with watch(server, *options, environment=environment) as terminal:
        terminal.wait_for("child 1-4 epoch 8")

        assert "\x1b" not in terminal.written
        assert "iteration 1 started from 0-1\r\n" in terminal.written
        assert max(len(line) for line in terminal.written.split("\r\n")) <= 80


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_documents_are_for_programs(script: Script, server: ScriptedServer, output: str) -> None:
    """A document stays a document, in a terminal, too."""
    script.streams = [ended()]

    with watch(server, "--output", output) as terminal:
        terminal.finish()

        assert terminal.written.startswith("{")
        assert "\x1b" not in terminal.written


@pytest.mark.parametrize(("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(server: ScriptedServer, environment: dict[str, str], has_colours: bool) -> None:
    """NO_COLOR takes the colours away and nothing else."""
    with watch(server, environment=environment) as terminal:
        frame = terminal.wait_for_frame(DONE)

        assert has_colours == bool(COLOUR.search(terminal.written))
        assert "█████ 10/10" in frame[4]


def test_a_resize_is_followed(server: ScriptedServer) -> None:
    """The next frame has the new size, wider and narrower."""
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        terminal.resize(170, 48)
        terminal.process.send_signal(signal.SIGWINCH)
        wide = terminal.wait_for_frame("ATTEMPT")
        terminal.resize(40, 14)
        terminal.process.send_signal(signal.SIGWINCH)
        narrow = terminal.wait_for_frame("1-8")

        assert f"       {records.NOTATION}" in wide
        assert "CHILD STATE     EPOCHS      ACCURACY" in narrow
        assert "Traceback" not in terminal.written


def test_a_terminal_without_a_size(server: ScriptedServer) -> None:
    """A terminal that does not know its size is taken for an ordinary one."""
    with Terminal("--server", server.address, "watch", records.SEARCH_ID, columns=0, lines=0) as terminal:
        terminal.wait_for("CHILD TRANSFORMATION          PARAMETERS STATE     EPOCHS         LOSS ACCURACY")


def test_a_lost_connection_shows(script: Script, server: ScriptedServer) -> None:
    """Losing the server and finding it again are lines of the view, and no event is missing."""
    script.streams = [[*EVENTS[:20], LOST], [LOST], [LOST], [*EVENTS[20:], Open()]]

    with watch(server) as terminal:
        frame = "\n".join(terminal.wait_for_frame("Connected again."))

        assert "Lost the connection after event 20" in frame
        assert "████░  8/10" in "\n".join(terminal.wait_for_frame("8/10"))


def test_a_refusal_comes_without_a_screen(script: Script, server: ScriptedServer) -> None:
    """Where there is nothing to show the terminal is left alone."""
    refusal = Refusal(code=grpc.StatusCode.NOT_FOUND, message="there is no such search", reason="SEARCH_NOT_FOUND")
    script.streams = [[refusal]]

    with watch(server) as terminal:
        assert 3 == terminal.finish()
        assert "Error: there is no such search\r\n" == terminal.written


def test_an_error_in_the_middle_gives_the_terminal_back(script: Script, server: ScriptedServer) -> None:
    """A broken promise of the server ends the view with its last frame and one sentence."""
    script.streams = [[*EVENTS[:20], Open()]]
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        script.streams = [[EVENTS[30]]]
        server.stop()
        with ScriptedServer(script, listen=server.address):
            status = terminal.finish()
        after = terminal.written.split(LEAVE_SCREEN)[1]

        assert 1 == status
        assert "sent event 31" in after.splitlines()[-1]
        assert "Traceback" not in after


def test_being_terminated_gives_the_terminal_back(server: ScriptedServer) -> None:
    """SIGTERM ends the client as ever, only after it has left the screen."""
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        terminal.process.terminate()

        assert -signal.SIGTERM == terminal.finish()
        assert terminal.written.endswith(SHOW_CURSOR + LEAVE_SCREEN)


def test_a_closed_terminal_ends_the_client(server: ScriptedServer) -> None:
    """When the window is gone there is nobody to show anything to: the client ends, and not as a success."""
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        terminal.close()

        assert 1 == terminal.finish()


def test_being_suspended_gives_the_terminal_back(server: ScriptedServer) -> None:
    """Ctrl-Z leaves the screen to the shell; going on takes it again."""
    with watch(server) as terminal:
        terminal.wait_for_frame("1-8")
        terminal.process.send_signal(signal.SIGTSTP)
        stat = Path(f"/proc/{terminal.process.pid}/stat")
        wait_for(lambda: " T " in stat.read_text(), "the client to stop")
        wait_for(lambda: terminal.written.endswith(SHOW_CURSOR + LEAVE_SCREEN), "the screen to be left")

        os.kill(terminal.process.pid, signal.SIGCONT)

        wait_for(lambda: 2 == terminal.written.count(ENTER_SCREEN), "the screen to be taken again")


def test_joining_late_is_quick(script: Script, server: ScriptedServer) -> None:
    """Ten thousand events cost less than five seconds of processor time, on a busy machine, too."""
    events = stream.long_search(10_000)
    script.streams = [[*events, stream.event(10_001, search_cancelled=event_pb2.SearchCancelled())]]
    search = records.search()
    search.state = search_pb2.Search.STATE_CANCELLED
    script.answers["GetSearch"] = [search_service_pb2.GetSearchResponse(search=search)]

    before = os.times()
    with watch(server) as terminal:
        status = terminal.finish()
    after = os.times()

    assert 4 == status
    assert after.children_user + after.children_system - before.children_user - before.children_system < 5.0
