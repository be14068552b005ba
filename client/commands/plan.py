# SPDX-License-Identifier: Apache-2.0
"""``plan``: what ``start`` with the same options would begin with."""

from __future__ import annotations

from typing import Any

import click

from client.connection import Connection, connect
from client.options import make_config, search_options, verify_option
from client.output import note, write, write_message
from client.settings import Output, Settings, output_option
from client.versions import require_understood
from client.views import plan_view
from nas.api.v1 import search_pb2, search_service_pb2

_EPILOG = """\b
Examples:
  nas-client plan --dataset mnist --block ib
  nas-client plan --dataset digits --block seib --seed 7 --output json
"""


@click.command("plan", epilog=_EPILOG)
@search_options
@verify_option
@output_option
@click.pass_obj
def command(settings: Settings, /, verify: bool, **given: Any) -> None:
    """Show what a search would begin with, without starting it.

    The server checks the settings and answers with the children of iteration 1: how each is derived, its layers with
    their shapes, parameters and FLOPs, the memory that training takes, and the disk space of an iteration.
    """
    with connect(settings) as connection:
        plan = plan_search(connection, make_config(given, settings), verify=verify)
    if settings.output is Output.TEXT:
        for warning in plan.warnings:
            note(f"Warning: {warning}")
        write(plan_view(plan))
    else:
        write_message(plan, is_compact=settings.output is Output.JSONL)


def plan_search(
    connection: Connection, config: search_pb2.SearchConfig, *, verify: bool = False
) -> search_service_pb2.Plan:
    """Ask what a search would begin with.

    Raises:
        ServerError: the server refuses the settings.
        ClientError: the server is older and does not know all of them.
    """
    request = search_service_pb2.StartSearchRequest(config=config, validate_only=True, verify_data=verify)
    plan = connection.call(connection.stub.StartSearch, request, waits_for_data=True).plan
    require_understood(config, plan.config, connection.address)
    return plan
