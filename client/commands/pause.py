# SPDX-License-Identifier: Apache-2.0
"""``pause``: free the workers without losing what they have done."""

from __future__ import annotations

from client.control import control_command
from nas.api.v1 import search_service_pb2

command = control_command(
    "pause",
    lambda connection, search: connection.call(
        connection.stub.PauseSearch, search_service_pb2.PauseSearchRequest(search_id=search)
    ),
    """Let a search wait until `nas-client resume`.

    Returns at once, while workers are still writing their checkpoints. A pause does not count against the time budget,
    lasts over restarts of the server, and changes nothing in the result.
    """,
)
