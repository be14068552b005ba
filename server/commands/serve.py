# SPDX-License-Identifier: Apache-2.0
"""nas-server serve."""

from __future__ import annotations

import asyncio

import click

from server.app import App
from server.commands.exits import exit_codes
from server.commands.options import make_settings, server_options
from server.sinks.logs import configure_logging


@click.command()
@server_options
@click.option(
    "--any-path",
    is_flag=True,
    default=None,
    help="Read folders of images wherever the server's user may; only with unix:PATH.",
)
@click.option("--idle-timeout", type=float, metavar="SECONDS", help="End after that long without a call or a search.")
def serve(**options: object) -> None:
    """Serve until SIGTERM, and go on with what an earlier server left.

    \b
    Examples:
      nas-server serve --data-root ~/data
      nas-server serve --state-dir /var/lib/nas --listen 127.0.0.1:0 --port-file /run/nas/address
    """
    with exit_codes():
        settings = make_settings(options)
        configure_logging(settings.log_format)
        asyncio.run(App(settings).run())
