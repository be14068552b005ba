# SPDX-License-Identifier: Apache-2.0
"""Has pytest explain the assertions of the harness as it does those of tests."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("chaos_run", "chaos_server", "chaos_verdict")
