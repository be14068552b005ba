# SPDX-License-Identifier: Apache-2.0
"""What has to be so before any test is loaded."""

from __future__ import annotations

import signal

import pytest

# Pytest explains the assertions of the chaos harness as it does those of tests.
pytest.register_assert_rewrite("chaos_run", "chaos_server", "chaos_verdict")

# A shell's background jobs ignore Ctrl-C, and so would every program that tests start to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)
