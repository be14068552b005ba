# SPDX-License-Identifier: Apache-2.0
"""``resume``: go on after ``pause``."""

from __future__ import annotations

from client.control import control_command
from nas.api.v1 import search_service_pb2

command = control_command(
    "resume",
    lambda connection, search: connection.call(
        connection.stub.ResumeSearch, search_service_pb2.ResumeSearchRequest(search_id=search)
    ),
    """Let a paused search go on where it stopped.

    Trainings go on from their checkpoints. Resuming a search that is running changes nothing.
    """,
)
