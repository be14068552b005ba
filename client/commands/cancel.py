# SPDX-License-Identifier: Apache-2.0
"""``cancel``: the only verb that ends a search."""

from __future__ import annotations

from client.control import control_command
from nas.api.v1 import search_service_pb2

command = control_command(
    "cancel",
    lambda connection, search: connection.call(
        connection.stub.CancelSearch, search_service_pb2.CancelSearchRequest(search_id=search)
    ),
    """End a search; what it has found so far is kept.

    Returns at once, while workers are still being ended. Cancelling twice changes nothing.
    """,
)
