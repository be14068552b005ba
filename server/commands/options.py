# SPDX-License-Identifier: Apache-2.0
"""The options that ``serve`` and ``run`` have in common: those of the server, see ``server.config``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from server.config import DEFAULT_LISTEN, DEFAULT_METRICS_LISTEN, DEFAULT_STATE_DIR, Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--state-dir", type=Path, help=f"Folder of the journal and all weights. [default: {DEFAULT_STATE_DIR}]"
    ),
    click.option(
        "--listen",
        metavar="ADDRESS",
        help=f"HOST:PORT or unix:PATH; port 0 picks a free one. [default: {DEFAULT_LISTEN}]",
    ),
    click.option("--port-file", type=Path, help="File that gets the address once the server is ready."),
    click.option("--data-root", type=Path, help="Folder of the data sets: DIR/mnist, DIR/kau, your own."),
    click.option(
        "--download", is_flag=True, default=None, help="Fetch mnist and fashion-mnist where they are missing."
    ),
    click.option("--workers", type=int, help="Children trained at the same time. [default: 1]"),
    click.option(
        "--executor", type=click.Choice(["local", "ray", "fake"]), help="Where attempts run. [default: local]"
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Cluster of 'ray', which this machine is a node of, too. [default: auto, the one of this machine]",
    ),
    click.option(
        "--ray-cpus",
        type=int,
        help="CPUs that a worker of 'ray' reserves, and its threads if the search does not say. [default: 1]",
    ),
    click.option("--ray-gpus", is_flag=True, default=None, help="Reserve a GPU for each worker of 'ray'."),
    click.option(
        "--trainer",
        type=click.Choice(["torch", "simulated"]),
        help="What the workers of 'local' and 'ray' do. [default: torch]",
    ),
    click.option(
        "--progress-timeout",
        type=float,
        metavar="SECONDS",
        help="Silence after which a worker is taken for hung. [default: 300]",
    ),
    click.option(
        "--health-listen",
        metavar="ADDRESS",
        help="Answer health checks here, too, and nothing else: for probes. [default: only with the API]",
    ),
    click.option(
        "--metrics-listen",
        metavar="ADDRESS",
        help=f"Where Prometheus reads /metrics, or off. [default: {DEFAULT_METRICS_LISTEN}, if it is free]",
    ),
    click.option(
        "--tls-cert", type=Path, metavar="FILE", help="The API's certificate, PEM; read again when it changes."
    ),
    click.option("--tls-key", type=Path, metavar="FILE", help="Its private key."),
    click.option(
        "--tls-client-ca", type=Path, metavar="FILE", help="Authority whose certificate every client has to show."
    ),
    click.option("--token-file", type=Path, metavar="FILE", help="Who may call: see nas-server token."),
    click.option("--max-streams", type=int, help="Watches, exports and logs at a time by one caller. [default: 1000]"),
    click.option("--max-starts", type=int, help="Starts per minute by one caller. [default: 600]"),
    click.option(
        "--insecure",
        is_flag=True,
        default=None,
        help="Listen beyond this machine although everybody there could use the server or read along.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["auto", "json", "console"]),
        help="auto is console on a terminal, else json. [default: auto]",
    ),
)


def server_options(command: Command) -> Command:
    """Give a command every option of the server."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from the values of the options; None means not given.

    Raises:
        ValidationError: a value cannot be used.
    """
    return Settings(**{name: value for name, value in given.items() if value is not None})
