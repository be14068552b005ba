# SPDX-License-Identifier: Apache-2.0
"""The command group: a module per verb, loaded when the verb is used, so that ``--help`` is instant."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
from click.core import ParameterSource

from client.credentials import NAMES, Credentials, credential_options, find_credentials
from client.errors import EXIT_MEANINGS
from client.profiles import choose_profile
from client.settings import (
    DATA_TIMEOUT_SECONDS,
    DEFAULT_SERVER,
    DEFAULT_STATE_DIR,
    DEFAULT_TIMEOUT_SECONDS,
    Output,
    Settings,
    parse_address,
    parse_seconds,
)

VERBS = {
    "start": ("client.commands.start", "Start a search and watch it."),
    "watch": ("client.commands.watch", "Show the events of a search, from the first one on."),
    "list": ("client.commands.listing", "List the searches, newest first."),
    "get": ("client.commands.get", "Show one search."),
    "children": ("client.commands.children", "List the children of a search, or show one."),
    "pause": ("client.commands.pause", "Let a search wait until `nas-client resume`."),
    "resume": ("client.commands.resume", "Let a paused search go on where it stopped."),
    "cancel": ("client.commands.cancel", "End a search."),
    "delete": ("client.commands.delete", "Delete a search that has ended."),
    "export": ("client.commands.export", "Write a trained net to a folder."),
    "ablate": ("client.commands.ablate", "Train winner and smallest of a search again, each with and without SE."),
    "crossvalidate": ("client.commands.crossvalidate", "Test a net of a search on K divisions of its data."),
    "logs": ("client.commands.logs", "Print what the worker of a child wrote to its log."),
    "datasets": ("client.commands.datasets", "Show the data sets that the server knows, and check folders."),
    "plan": ("client.commands.plan", "Show what a search would begin with, without starting it."),
    "arch": ("client.commands.arch", "Work out or transform a net, without a server."),
    "submit": ("client.commands.submit", "Run a search as a Job of a Kubernetes cluster."),
    "jobs": ("client.commands.jobs", "List, follow or delete the jobs of a cluster."),
    "config": ("client.commands.config", "Show the client's settings, and keep servers by name."),
    "completion": ("client.commands.completion", "Print what a shell needs to complete commands."),
    "version": ("client.commands.version", "Print the versions of the client and the server."),
}
"""Module and summary of every verb, in the order of the help."""

_STATUSES = "\n".join(f"  {status:<4} {meaning}" for status, meaning in EXIT_MEANINGS.items())
_EPILOG = f"""\b
Exit status:
{_STATUSES}

\b
Every option can be set by an environment variable: NAS_SERVER,
NAS_OUTPUT, NAS_TIMEOUT, and NAS_<VERB>_<OPTION> after the verb.
"""


class LazyGroup(click.Group):
    """A group that knows its verbs' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)  # noqa: S101 - every verb's module holds one
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])


def _print_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from client.versions import client_version

        click.echo(f"nas-client {client_version()}")
        context.exit()


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"auto_envvar_prefix": "NAS", "max_content_width": 100})
@click.option(
    "--server",
    type=parse_address,
    metavar="ADDR",
    default=DEFAULT_SERVER,
    show_default=True,
    help="HOST:PORT or unix:PATH.",
)
@click.option(
    "--profile",
    is_eager=True,
    callback=choose_profile,
    metavar="NAME",
    help="Server and credentials as `nas-client config set` has kept them; none for no profile.",
)
@credential_options
@click.option("--local", is_flag=True, help="Use a server of one's own, started when it is needed.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="With --local: the folder of that server.",
)
@click.option(
    "--output",
    type=click.Choice([o.value for o in Output]),
    default=Output.TEXT.value,
    show_default=True,
    help="How to print.",
)
@click.option(
    "--timeout",
    type=parse_seconds,
    metavar="SECONDS",
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="Longest wait for one answer; unless given, start and plan wait an hour for data.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_print_version,
    help="Print the client's version and exit.",
)
@click.pass_context
def cli(
    context: click.Context, /, server: str, local: bool, state_dir: Path, output: str, timeout: float, **_: str
) -> None:
    """Search small, accurate image classifiers on a NAS server."""
    if local and context.get_parameter_source("server") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local and --server name two servers; give one of them.")
    is_patient = context.get_parameter_source("timeout") is ParameterSource.DEFAULT
    context.obj = Settings(
        server=server,
        output=Output(output),
        timeout=timeout,
        state_dir=state_dir if local else None,
        data_timeout=DATA_TIMEOUT_SECONDS if is_patient else None,
        credentials=Credentials() if local else find_credentials(context),
        way=_way(context),
        is_server_typed=context.get_parameter_source("server") is not ParameterSource.DEFAULT_MAP,
    )


def _way(context: click.Context) -> str:
    """The options about server and credentials as they were typed, to be typed again."""
    names = ("profile", *NAMES)
    typed = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    return "".join(f"--{name.replace('_', '-')} {context.params[name]} " for name in typed)
