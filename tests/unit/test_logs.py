# SPDX-License-Identifier: Apache-2.0
"""The log: one record a line whoever writes it, and nothing that a text from outside could do to whoever reads it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from control_plane import ControlPlane, running

from server.sinks.fact_log import FactLog
from server.sinks.logs import configure_logging

HOSTILE = [
    "line\nline",
    'line\r\n{"event": "search_succeeded"}',
    "\x1b[2J\x1b[31mred\x1b[0m",
    "bell\x07 null\x00 backspace\x08",
    "\u2028 \u2029 \x85 \u202e right to left",
    "\udcff lone",
]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """Leave the log of the test process as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    configuration = structlog.get_config()
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.configure(**configuration)
    structlog.contextvars.clear_contextvars()


def _configure(form: str) -> None:
    """As the program does, but for loggers that keep the stream of one test for ever."""
    configure_logging(form)
    structlog.configure(cache_logger_on_first_use=False)


def _logger() -> Any:
    return structlog.get_logger()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_from_outside_stays_in_its_place(capsys: pytest.CaptureFixture[str], form: str, text: str) -> None:
    """As value and as message: one line each, without a control character."""
    _configure(form)

    _logger().info("rpc", detail=text)
    logging.getLogger("grpc").warning("said %s", text)

    lines = capsys.readouterr().err.split("\n")
    assert 3 == len(lines)
    assert "" == lines[2]
    assert all(line.isprintable() for line in lines)


def test_a_record_for_machines_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With event, level, time in UTC and what is bound; ours and those of libraries alike."""
    _configure("json")
    structlog.contextvars.bind_contextvars(search_id="0123456789ab")

    _logger().info("rpc", seconds=0.5)
    logging.getLogger("grpc._server").error("it broke", exc_info=ValueError("bad"))
    logging.captureWarnings(False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)

    ours, theirs, warning = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert {"event": "rpc", "level": "info", "search_id": "0123456789ab", "seconds": 0.5}.items() <= ours.items()
    assert ours["timestamp"].endswith("Z")
    assert {"event": "it broke", "level": "error", "logger": "grpc._server"}.items() <= theirs.items()
    assert "ValueError: bad" in theirs["exception"]
    assert "this is old" in warning["event"]


def test_by_itself_it_is_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error is no terminal here."""
    _configure("auto")

    _logger().info("rpc")

    assert "rpc" == json.loads(capsys.readouterr().err)["event"]


async def test_an_attempt_has_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With everything about it; the search has a line at its begin, at each selection and at its end."""
    _configure("json")
    async with running(ControlPlane(folder=tmp_path, sinks=(FactLog(),))) as plane:
        view = await plane.end((await plane.start()).search_id)

    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    attempts = [record for record in records if record["event"] == "attempt"]
    launched = sum(child.attempts for child in view.search.children.values())
    assert launched == len(attempts)
    assert {"succeeded", "evaluated"} == {record["outcome"] for record in attempts}
    assert {
        *("search_id", "child_id", "attempt", "kind", "device", "precision", "threads", "resumed_after_epoch"),
        *("running_seconds", "epochs", "training_seconds", "images_per_second", "accuracy"),
    } <= attempts[0].keys()
    whole = [record["event"] for record in records if record["event"] != "attempt"]
    assert ["search_started", "children_selected", "children_selected", "search_succeeded"] == whole


def test_grpcs_core_keeps_quiet(tmp_path: Path) -> None:
    """It would write lines of its own form into the log."""
    program = "import server.__main__, os; print(os.environ['GRPC_VERBOSITY'])"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert "NONE\n" == finished.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_that_has_no_room_fails_nothing() -> None:
    """A line that cannot be written is passed over, ours and that of a library."""
    code = (
        "import logging, structlog; from server.sinks.logs import configure_logging; configure_logging('json'); "
        "structlog.get_logger().info('rpc'); logging.getLogger('grpc').error('it broke'); print('on it goes')"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False)

    assert "on it goes\n" == done.stdout
