# SPDX-License-Identifier: Apache-2.0
"""nas-server serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from server.app import App
from server.commands.exits import exit_codes
from server.config import DEFAULT_LISTEN, DEFAULT_STATE_DIR, Settings
from server.sinks.logs import configure_logging


@click.command()
@click.option("--state-dir", type=Path, help=f"Folder of the journal and all weights. [default: {DEFAULT_STATE_DIR}]")
@click.option(
    "--listen", metavar="ADDRESS", help=f"HOST:PORT or unix:PATH; port 0 picks a free one. [default: {DEFAULT_LISTEN}]"
)
@click.option("--port-file", type=Path, help="File that gets the address once the server is ready.")
@click.option("--data-root", type=Path, help="Folder of the data sets: DIR/mnist, DIR/kau, your own.")
@click.option("--download", is_flag=True, default=None, help="Fetch mnist and fashion-mnist where they are missing.")
@click.option("--workers", type=int, help="Children trained at the same time. [default: 1]")
@click.option("--executor", type=click.Choice(["local", "fake"]), help="Where attempts run. [default: local]")
@click.option(
    "--trainer", type=click.Choice(["torch", "simulated"]), help="What the workers of 'local' do. [default: torch]"
)
@click.option(
    "--progress-timeout",
    type=float,
    metavar="SECONDS",
    help="Silence after which a worker is taken for hung. [default: 300]",
)
@click.option("--idle-timeout", type=float, metavar="SECONDS", help="End after that long without a call or a search.")
@click.option("--insecure", is_flag=True, default=None, help="Listen beyond this machine without authentication.")
def serve(**options: object) -> None:
    """Serve until SIGTERM, and go on with what an earlier server left.

    \b
    Examples:
      nas-server serve --data-root ~/data
      nas-server serve --state-dir /var/lib/nas --listen 127.0.0.1:0 --port-file /run/nas/address
    """
    with exit_codes():
        settings = Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
        configure_logging()
        asyncio.run(App(settings).run())
