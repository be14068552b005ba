# SPDX-License-Identifier: Apache-2.0
"""Logs: one record a line on standard error, as JSON for machines or coloured for people, whoever writes it.

What libraries log (gRPC, asyncio, warnings) takes the same way. Texts from outside cannot end a line or move a cursor.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_OWN_LINES = ("exception", "stack")
"""What is made of several lines and written by us."""


def configure_logging(form: str = "auto") -> None:
    """Send everything to standard error.

    Args:
        form: ``json``, ``console``, or ``auto`` for console on a terminal and JSON elsewhere.
    """
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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
            record[name] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)
    return record
