# SPDX-License-Identifier: Apache-2.0
"""The live view on a terminal: a thread that paints the state when it has changed, and once a second for the clocks.

It has the terminal's other screen to itself, so a resize leaves nothing behind; the last frame goes to the usual one.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

from rich.console import Console
from rich.control import Control
from rich.screen import Screen

from client.errors import OutputClosed
from client.live.evolve import evolve, find, hear, lose
from client.live.frame import render
from client.live.state import LiveState
from client.output import give_up, note
from nas.api.v1 import event_pb2, search_service_pb2

FRAME_SECONDS = 0.1
"""Shortest time from one frame to the next: thousands of events in a second make ten frames."""
CLOCK_SECONDS = 1.0
HINT = "Ctrl-C leaves the search running."
USUAL_SIZE = (80, 24)


class LiveView:
    """Shows a search while its events come in; a context manager for the main thread."""

    def __init__(self, search_id: str) -> None:
        self._state = LiveState(search_id=search_id)
        self._console = Console(file=sys.stdout, force_terminal=True, highlight=False, legacy_windows=False)
        self._has_changed = threading.Event()
        self._is_over = threading.Event()
        self._painter = threading.Thread(target=self._paint_on, name="painter", daemon=True)
        self._lock = threading.RLock()
        self._is_on_screen = False
        self._failure: Exception | None = None
        self._handlers: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> LiveView:
        for number, handler in (
            (signal.SIGWINCH, self._on_resize),
            (signal.SIGTSTP, self._on_suspend),
            (signal.SIGTERM, self._on_terminate),
        ):
            self._handlers[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._has_changed.set()
        try:
            if self._painter.ident:
                self._painter.join()
        finally:
            self._leave_screen()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        if isinstance(self._failure, OSError):
            give_up(sys.stdout)
            raise OutputClosed from self._failure
        if self._failure is not None:
            raise self._failure
        if self._state.sequence:
            self._print_last_frame()

    def on_event(self, event: event_pb2.Event) -> None:
        """Take an event; the first one opens the screen."""
        self._state = evolve(self._state, event, time.time())
        if self._state.sequence and not self._painter.ident:
            self._painter.start()
        self._has_changed.set()

    def on_lost(self, text: str) -> None:
        """Show that the connection is lost."""
        if not self._painter.ident:
            note(text)
        self._state = lose(self._state, text, time.time())
        self._has_changed.set()

    def on_found(self, text: str) -> None:
        """Show that it is back."""
        if not self._painter.ident:
            note(text)
        self._state = find(self._state, text, time.time())
        self._has_changed.set()

    def on_heartbeat(self, heartbeat: search_service_pb2.Heartbeat) -> None:
        """Set the clocks."""
        self._state = hear(self._state, heartbeat, time.time())

    def _paint_on(self) -> None:
        try:
            # A search that ended long ago is over before there is anything to look at.
            while not self._is_over.wait(FRAME_SECONDS):
                self._has_changed.clear()
                with self._lock:
                    self._enter_screen()
                    self._paint()
                self._has_changed.wait(CLOCK_SECONDS)
        except Exception as error:
            self._failure = error
            _thread.interrupt_main()

    def _paint(self) -> None:
        width, height = self._size()
        frame = render(self._state, width, height, now=time.time(), hint=HINT)
        with self._console:
            self._console.control(Control.home())
            self._console.print(Screen(frame), end="")

    def _print_last_frame(self) -> None:
        width, height = self._size()
        self._console.print(render(self._state, width, height, now=time.time()))
        for warning in self._state.warnings:
            note(f"Warning: {warning}")

    def _size(self) -> tuple[int, int]:
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
            # A terminal that does not know its size says 0.
            self._console.size = (columns or USUAL_SIZE[0], lines or USUAL_SIZE[1])
        return self._console.size.width, self._console.size.height

    def _enter_screen(self) -> None:
        if not self._is_on_screen:
            self._is_on_screen = True
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)

    def _leave_screen(self) -> None:
        if self._is_on_screen:
            self._is_on_screen = False
            with contextlib.suppress(OSError):
                self._console.show_cursor(True)
                self._console.set_alt_screen(False)

    def _on_resize(self, _number: int, _frame: FrameType | None) -> None:
        self._has_changed.set()

    def _on_suspend(self, _number: int, _frame: FrameType | None) -> None:
        with self._lock:
            self._leave_screen()
            os.kill(os.getpid(), signal.SIGSTOP)
        self._has_changed.set()

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        with self._lock:
            self._leave_screen()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
