# SPDX-License-Identifier: Apache-2.0
"""Logs: one record per line on standard error, as JSON for machines or coloured for people.

What libraries log (gRPC, asyncio, warnings) gets the same form. Texts from outside cannot end a line or move a cursor.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from nas.text import escape

_OWN_LINES = ("exception", "stack")
"""Fields that may have several lines, because none of their text is from outside."""


class Unfailing(io.TextIOBase):
    """A stream that drops what cannot be written: a full disk must not fail the call that a line is about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text if the disk is full."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, unless the disk is full; what is left is tried again with the next line."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure_logging(form: str = "auto") -> None:
    """Send everything to standard error.

    Args:
        form: ``json``, ``console``, or ``auto`` for console on a terminal and JSON elsewhere.
    """
    stream = Unfailing(sys.stderr)
    is_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    renderer: Processor = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, escape_controls, renderer]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)


def escape_controls(_logger: WrappedLogger, _method: str, record: EventDict) -> EventDict:
    """Write control characters in texts as their escape sequences, so that a record stays on its line."""
    for name, value in record.items():
        if isinstance(value, str) and not value.isprintable() and name not in _OWN_LINES:
            record[name] = escape(value)
    return record
