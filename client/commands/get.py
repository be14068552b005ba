# SPDX-License-Identifier: Apache-2.0
"""``get``: one search as it stands."""

from __future__ import annotations

import click

from client.assessment import assessment_reports
from client.completion import search_argument
from client.connection import connect
from client.output import note, terminal_columns, write, write_message
from client.settings import Output, Settings, output_option
from client.views import Place, search_view
from nas.api.v1 import search_service_pb2

_EPILOG = """\b
Examples:
  nas-client get 3f2a9c01b7de
  nas-client get 3f2a9c01b7de --output json
"""


@click.command("get", epilog=_EPILOG)
@search_argument
@output_option
@click.pass_obj
def command(settings: Settings, search: str) -> None:
    """Show one search: its settings, how far it is, its best child, and what the test part says about it."""
    with connect(settings) as connection:
        request = search_service_pb2.GetSearchRequest(search_id=search)
        found = connection.call(connection.stub.GetSearch, request).search
    if settings.output is Output.TEXT:
        for warning in found.warnings:
            note(f"Warning: {warning}")
        place = Place(columns=terminal_columns(), state_dir=settings.local_folder)
        write("\n\n".join((search_view(found, place), *assessment_reports(found))))
    else:
        write_message(found, is_compact=settings.output is Output.JSONL)
