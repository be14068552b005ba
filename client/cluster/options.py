# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that talk to a cluster; loads no library for clusters, so that ``--help`` needs none."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from client.errors import ClientError, Exit
from client.options import parse_span

Command = TypeVar("Command", bound=Callable[..., Any])
Check = Callable[[click.Context, click.Parameter, "str | None"], "str | None"]


def _checked(pattern: str, kind: str) -> Check:
    """Make a callback that lets only texts of a pattern through."""

    def check(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise click.BadParameter(f"{value!r} is no {kind}.")
        return value

    return check


def _parse_wait(value: str | float) -> float:
    """Read a time span in seconds; ``none`` has no end."""
    return value if isinstance(value, float) else parse_span(value) or math.inf


check_name = _checked(r"[a-z0-9]([-a-z0-9]{0,46}[a-z0-9])?", "name; write up to 48 small letters, digits and dashes")
check_quantity = _checked(r"[0-9]{1,6}(\.[0-9]{1,3})?(m|[kMGT]i?)?", "quantity; write for example 2, 500m or 16Gi")
check_image = _checked(
    r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,500}", "image; write for example registry.example/seib-nas:0.2.0"
)

job_argument = click.argument("job", callback=check_name)
wait_option = click.option(
    "--wait",
    type=_parse_wait,
    metavar="SPAN",
    default="10m",
    show_default=True,
    help="Longest wait for a pod that serves; none waits for ever.",
)


def cluster_options(command: Command) -> Command:
    """Give a command the options that choose a namespace of a cluster."""
    for option in (
        click.option("--context", metavar="NAME", help="Which cluster; default: kubectl's current context."),
        click.option("--namespace", callback=check_name, metavar="NAME", help="Default: that of kubectl's context."),
    ):
        command = option(command)
    return command


def require_extra() -> None:
    """Refuse to go on without the libraries for clusters.

    Raises:
        ClientError: they are not installed.
    """
    if importlib.util.find_spec("lightkube") is None:
        raise ClientError("Jobs on a cluster need the extra k8s: pip install 'seib-nas[k8s]'.", Exit.UNAVAILABLE)
