# SPDX-License-Identifier: Apache-2.0
"""Logs: JSON lines, or coloured text on a terminal; one line for each fact that an operator acts on."""

from __future__ import annotations

import logging
import sys

import structlog

from nas.search import events
from server.codec.envelope import Envelope

log = structlog.get_logger("nas.search")


def configure_logging() -> None:
    """Send everything to standard error, one record a line."""
    is_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def log_fact(envelope: Envelope) -> None:
    """Write the line of a fact, if it has one."""
    line = log.bind(search_id=envelope.search_id, sequence=envelope.sequence)
    match envelope.fact:
        case events.SearchStarted() as fact:
            line.info("search_started", dataset=fact.config.dataset, block=fact.config.block.value)
        case events.ChildSucceeded() as fact:
            line.info(
                "child_succeeded",
                child_id=str(fact.child_id),
                attempt=fact.attempt,
                epochs=fact.epochs,
                accuracy=float(fact.evaluation.accuracy),
            )
        case events.AttemptLost() | events.ChildFailed() as fact:
            name = "attempt_lost" if isinstance(fact, events.AttemptLost) else "child_failed"
            line.warning(
                name,
                child_id=str(fact.child_id),
                attempt=fact.attempt,
                reason=fact.reason.value,
                detail=fact.detail,
            )
        case events.ChildrenSelected() as fact:
            line.info("children_selected", iteration=fact.iteration, incumbent=str(fact.incumbent))
        case events.SearchSucceeded() as fact:
            line.info("search_succeeded", reason=fact.reason.value, winner=str(fact.winner))
        case events.SearchFailed() as fact:
            line.error("search_failed", reason=fact.reason.value, detail=fact.detail)
        case events.SearchCancelled():
            line.info("search_cancelled")
        case _:
            pass
