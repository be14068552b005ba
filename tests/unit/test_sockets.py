# SPDX-License-Identifier: Apache-2.0
"""The longest path of a Unix socket."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from nas.sockets import LONGEST_SOCKET_PATH


def test_the_kernel_has_the_same_limit() -> None:
    """A path of the longest length is bound, and one that is a byte longer is refused."""
    with tempfile.TemporaryDirectory() as short:  # pytest's own folders have longer paths
        longest = str(Path(short) / "x").ljust(LONGEST_SOCKET_PATH, "x")
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as refused,
        ):
            bound.bind(longest)
            with pytest.raises(OSError, match="too long"):
                refused.bind(f"{longest}x")
