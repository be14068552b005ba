# SPDX-License-Identifier: Apache-2.0
"""Search ids for the shell, from the server if it answers soon, and nothing otherwise."""

from __future__ import annotations

from pathlib import Path

import click

from client.credentials import Credentials, find_credentials
from client.settings import DEFAULT_SERVER, Output, Settings

_ANSWER_SECONDS = 1.0


def complete_search(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids that begin with what has been typed; never starts a server, never fails."""
    try:
        return [found for found in _search_ids(context.find_root()) if found.startswith(incomplete)]
    except Exception:  # a shell that completes must not print anything but words
        return []


search_argument = click.argument("search", shell_complete=complete_search)
"""The argument of every verb that is about one search."""


def _search_ids(context: click.Context) -> list[str]:
    from client.connection import connect
    from client.local import find_server
    from nas.api.v1 import search_service_pb2

    root, credentials = context.params, find_credentials(context)
    server = str(root.get("server") or DEFAULT_SERVER)
    if root.get("local"):
        found = find_server(Path(str(root["state_dir"])).expanduser().absolute())
        if found is None:
            return []
        server, credentials = found, Credentials()
    settings = Settings(server=server, output=Output.TEXT, timeout=_ANSWER_SECONDS, credentials=credentials)
    with connect(settings) as connection:
        request = search_service_pb2.ListSearchesRequest()
        return [search.search_id for search in connection.call(connection.stub.ListSearches, request).searches]
