# SPDX-License-Identifier: Apache-2.0
"""What has to be so before any test is loaded, and what tests of several modules share."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from trained_search import TrainedSearch

# Pytest explains the assertions of the chaos harness and of shared suites as it does those of tests.
pytest.register_assert_rewrite("chaos_run", "chaos_server", "chaos_verdict", "executor_suite")

# How long examples take says more about what else the machine does than about them.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Without this, structlog draws every logged exception in boxes with all local variables: up to 0.2 s for each of them.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# As on a user's machine: what a failed write leaves in the buffer is written again when Python ends.
os.environ.pop("PYTHONUNBUFFERED", None)

# Most tests of searches were written for the paper's preset, and are about the machinery and not about what it finds.
os.environ.update({f"NAS_{verb}_PRESET": "paper" for verb in ("START", "PLAN", "SUBMIT")})

# A shell's background jobs ignore Ctrl-C, and so would every program that tests start to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the million objects of imported modules and collected tests out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainedSearch]:
    """The search of ``trained_search.py``, trained when the first test of its xdist group asks for it."""
    from trained_search import serving_data, train  # it imports much that other tests do not need

    with serving_data(tmp_path_factory.mktemp("trained")) as server:
        yield train(server, "kau")
