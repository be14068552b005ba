# SPDX-License-Identifier: Apache-2.0
"""nas-server run: one search from its start, or from wherever an earlier server left it, to its end."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
import structlog

from nas.config import SearchConfig, search_settings
from nas.presets import describe_setting
from nas.search.state import SearchState
from nas.settings import Option
from server.app import App
from server.codec.documents import read_config
from server.codec.envelope import is_terminal
from server.commands.exits import Exit, exit_codes, leave
from server.commands.options import make_settings, server_options
from server.engine import Registry
from server.engine.errors import RequestIdReusedError
from server.hub import Hub
from server.sinks.logs import configure_logging

THE_SEARCH = UUID("7d0f8f6e-52b1-5c53-9d3c-6e61732d7275")
"""Request id where none is given: a state folder holds one search then, even if the folder is moved."""

_NEVER = 1e9
_SETTINGS = tuple(setting for setting in search_settings() if setting.declaration.option is not Option.NONE)

Command = TypeVar("Command", bound=Callable[..., Any])
log = structlog.get_logger("nas.run")


class Batch:
    """Starts or resumes one search on a server that ends together with it."""

    def __init__(
        self, config: SearchConfig, request_id: UUID, *, linger_seconds: float = 0.0, is_verifying: bool = False
    ) -> None:
        self._config = config
        self._request_id = str(request_id)
        self._linger_seconds = linger_seconds
        self._is_verifying = is_verifying
        self.outcome: SearchState | None = None
        """How the search has ended, if it has."""

    async def __call__(self, registry: Registry, hub: Hub) -> None:
        """Start or find the search, wait for its end, then linger for clients that want to read the result."""
        view = await registry.start(
            self._config, request_id=self._request_id, principal="", is_verifying=self._is_verifying
        )
        search_id = view.search_id
        log.info("run_begun", search_id=search_id, state=view.search.state.value, sequence=view.sequence)
        if not view.search.state.is_terminal:
            watch = hub.watch(
                search_id, view.sequence, heartbeat_seconds=_NEVER, is_last=lambda record: is_terminal(record.payload)
            )
            async with aclosing(watch):
                async for _ in watch:
                    pass
        self.outcome = registry.view(search_id).search.state
        log.info("run_ended", search_id=search_id, state=self.outcome.value, linger_seconds=self._linger_seconds)
        await asyncio.sleep(self._linger_seconds)

    @property
    def exit_status(self) -> Exit:
        """What the program ends with."""
        if self.outcome is None:
            return Exit.INTERRUPTED
        return Exit.OK if self.outcome is SearchState.SUCCEEDED else Exit.SEARCH_FAILED


def _search_options(command: Command) -> Command:
    for setting in reversed(_SETTINGS):
        words = () if setting.is_tuple else tuple(setting.words)
        command = click.option(
            f"--{setting.wire_name.replace('_', '-')}",
            type=click.Choice(words) if words else click.STRING,
            metavar=None if words else setting.metavar,
            help=describe_setting(setting),
        )(command)
    return command


@click.command()
@server_options
@click.option("--config", "file", type=Path, metavar="FILE", help="TOML or JSON with settings; options come first.")
@click.option("--request-id", type=click.UUID, default=THE_SEARCH, help="[default: one search per state folder]")
@click.option(
    "--linger",
    type=click.FloatRange(0.0, 86_400.0),
    default=0.0,
    metavar="SECONDS",
    help="Go on serving that long after the end, for a last look at metrics and results. [default: 0]",
)
@click.option("--verify", is_flag=True, help="Hash data again that seems unchanged since it was read.")
@_search_options
def run(file: Path | None, request_id: UUID, linger: float, verify: bool, **options: Any) -> None:
    """Start or resume one search, serve the API meanwhile, end with the search.

    The same command in the same state folder goes on where the one before was stopped or killed, and does nothing once
    the search has ended. SIGTERM lets the workers write their checkpoints first. 'nas-server --help' says what the exit
    codes mean.

    \b
    Examples:
      nas-server run --state-dir /var/lib/nas --data-root /data --dataset kau --block seib
      nas-server run --state-dir /var/lib/nas --config search.toml --linger 60
    """
    names = {setting.wire_name for setting in _SETTINGS}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    with exit_codes():
        document = {**(_load(file) if file else {}), **given}
        if not {"dataset", "block"} <= document.keys():
            raise click.UsageError("name the search: --dataset and --block, or a --config FILE with both.")
        batch = Batch(read_config(document), request_id, linger_seconds=linger, is_verifying=verify)
        settings = make_settings({name: value for name, value in options.items() if name not in names})
        configure_logging(settings.log_format)
        try:
            asyncio.run(App(settings, batch).run())
        except RequestIdReusedError as error:
            if request_id != THE_SEARCH:
                raise
            sentence = f"the state folder holds search {error.search_id}, which was started with other settings"
            leave(Exit.CONFIG, f"{sentence}; give those, or start this search in another state folder")
        raise SystemExit(batch.exit_status)


def _load(file: Path) -> dict[str, Any]:
    """Read a file of settings."""
    text = file.read_bytes()
    try:
        return json.loads(text) if text.lstrip().startswith(b"{") else tomllib.loads(text.decode())
    except ValueError as error:
        leave(Exit.CONFIG, f"{file} is neither TOML nor JSON: {error}")
