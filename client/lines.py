# SPDX-License-Identifier: Apache-2.0
"""A search as it happens, one line per event: for pipes, files, programs and plain terminals."""

from __future__ import annotations

from client.output import note, terminal_columns, write, write_message
from client.phrases import pause_notice
from client.render import event_line
from client.settings import Output
from client.text import wrap
from nas.api.v1 import event_pb2, search_pb2, search_service_pb2


class Lines:
    """Prints events to standard output as they come and says everything else on standard error."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pause_reason: int = search_pb2.PAUSE_REASON_UNSPECIFIED

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to print."""

    def on_event(self, event: event_pb2.Event) -> None:
        """Print an event, and the warnings that come with the first."""
        self._say_if_paused(search_pb2.PAUSE_REASON_UNSPECIFIED)  # there is room for events again
        if event.WhichOneof("fact") == "search_started":
            for warning in event.search_started.warnings:
                note(f"Warning: {warning}")
        if self._output is Output.TEXT:
            write(wrap(event_line(event), terminal_columns(), indent=9))  # the running time, as in 0:00:00, stands out
        elif self._output is Output.JSONL:
            write_message(event, is_compact=True)

    def on_lost(self, text: str) -> None:
        """Say that the connection is lost."""
        note(text)

    def on_found(self, text: str) -> None:
        """Say that it is back."""
        note(text)

    def on_heartbeat(self, heartbeat: search_service_pb2.Heartbeat) -> None:
        """Say if the search has begun to wait or goes on; the heartbeat itself is no event, so it is not printed."""
        self._say_if_paused(heartbeat.pause_reason)

    def _say_if_paused(self, pause_reason: int) -> None:
        text = pause_notice(self._pause_reason, pause_reason)
        self._pause_reason = pause_reason
        if text:
            note(text)
