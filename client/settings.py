# SPDX-License-Identifier: Apache-2.0
"""What is said before the verb: which server, how to print, how long to wait."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import click

from client.credentials import Credentials
from nas.sockets import LONGEST_SOCKET_PATH

DEFAULT_SERVER = "127.0.0.1:50051"
DEFAULT_STATE_DIR = Path("~/.local/state/nas")
DEFAULT_TIMEOUT_SECONDS = 60
DATA_TIMEOUT_SECONDS = 3600
"""Of a call that waits until data is prepared: reading thousands of large images takes minutes."""


class Output(StrEnum):
    """How data goes to standard output."""

    TEXT = "text"
    JSON = "json"
    """One document."""
    JSONL = "jsonl"
    """One document per line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Holds for every verb.

    Attributes:
        server: ``host:port`` or ``unix:path``.
        state_dir: with ``--local``, the folder of the server of one's own; None without.
        timeout: seconds that one call may take; streams have no such limit.
        data_timeout: the same for a call that waits until data is prepared; None means the same as the others.
        credentials: what the server is shown and must show.
        way: options about profile and credentials that were typed.
        is_server_typed: whether the server has to be typed again; a profile's has not.
    """

    server: str
    output: Output
    timeout: float
    state_dir: Path | None = None
    data_timeout: float | None = None
    credentials: Credentials = field(default_factory=Credentials)
    way: str = ""
    is_server_typed: bool = True

    @property
    def local_folder(self) -> Path | None:
        """With ``--local``, where the server keeps its files; None without."""
        return self.state_dir and self.state_dir.expanduser().absolute()

    def spell(self) -> str:
        """Return the options that lead back to this server, as one types them before a verb."""
        if self.state_dir is not None:
            return "--local " if self.state_dir == DEFAULT_STATE_DIR else f"--local --state-dir {self.state_dir} "
        is_known = self.server == DEFAULT_SERVER or not self.is_server_typed
        return self.way + ("" if is_known else f"--server {self.server} ")


def parse_address(text: str) -> str:
    """Check that a text is ``host:port`` or ``unix:path``, as gRPC reads them.

    Raises:
        click.BadParameter: it is neither.
    """
    if re.fullmatch(r"unix:.+", text):
        if len(os.fsencode(text.removeprefix("unix:"))) > LONGEST_SOCKET_PATH:
            raise click.BadParameter(
                f"{text!r} is no address: the path of a socket has at most {LONGEST_SOCKET_PATH} bytes."
            )
        return text
    match = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[1]) < 65536:
        raise click.BadParameter(f"{text!r} is no address; write HOST:PORT, [IPV6]:PORT or unix:PATH.")
    return text


def parse_seconds(value: str | float) -> float:
    """Read a positive number of seconds, at most a day.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise click.BadParameter(f"{value!r} is no number of seconds between 0 and 86400.")
    return seconds


def _replace_output(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.obj = replace(context.obj, output=Output(value))


output_option = click.option(
    "--output",
    type=click.Choice([output.value for output in Output]),
    callback=_replace_output,
    expose_value=False,
    help="How to print; also accepted before the verb.",
)
"""``--output`` after the verb, which wins over one before it."""
