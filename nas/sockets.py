# SPDX-License-Identifier: Apache-2.0
"""What holds for the path of a Unix socket, on the side of the server and on the side of the client."""

from __future__ import annotations

import sys

LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of the longest path: ``sun_path`` has 108 on Linux, 104 on macOS and BSD, and one holds the end mark."""
