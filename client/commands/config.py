# SPDX-License-Identifier: Apache-2.0
"""``config``: what holds and where it comes from, and servers kept by name."""

from __future__ import annotations

import click
from click.core import ParameterSource

from client.credentials import NAMES, VARIABLES, absolute, credential_options
from client.output import note, write, write_document
from client.profiles import NO_PROFILE, load_profiles, parse_profile_name, save_profiles
from client.settings import Output, Settings, output_option, parse_address
from client.text import table

_EPILOG = """\b
Examples:
  nas-client config show
  nas-client config show --output json
"""
_ORIGINS = {
    ParameterSource.COMMANDLINE: "option",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "profile",
    ParameterSource.DEFAULT: "default",
}
_SET_EPILOG = """\b
Examples:
  nas-client config set gpu1 --server gpu1:50051 --tls-ca ca.pem --token-file ann.token
  nas-client config set here --server 127.0.0.1:50051
"""
_USE_EPILOG = """\b
Examples:
  nas-client config use gpu1
  nas-client config use none
"""
_LIST_EPILOG = """\b
Examples:
  nas-client config list
  nas-client config list --output json
"""


@click.group("config")
def command() -> None:
    """Show the client's settings, and keep servers by name.

    Names, addresses and the places of certificates and tokens are kept in one file; no secret is.
    """


@command.command("show", epilog=_EPILOG)
@output_option
@click.pass_obj
@click.pass_context
def show(context: click.Context, settings: Settings) -> None:
    """Show each setting with its value and where it comes from."""
    root = context.find_root()
    rows = [
        (name, str(value), _origin(root, name), VARIABLES.get(name, f"NAS_{name.upper()}"))
        for name, value in sorted(root.params.items())
    ]
    if settings.output is Output.TEXT:
        write(table(("SETTING", "VALUE", "FROM", "VARIABLE"), rows))
    else:
        document = {name: {"value": value, "from": origin} for name, value, origin, _ in rows}
        write_document(document, is_compact=settings.output is Output.JSONL)


@command.command("set", epilog=_SET_EPILOG)
@click.argument("name", type=parse_profile_name)
@click.option("--server", type=parse_address, metavar="ADDR", required=True, help="HOST:PORT or unix:PATH.")
@credential_options
def set_(name: str, server: str, **given: str | None) -> None:
    """Keep a server with its credentials under a name; what was kept there is replaced."""
    profiles = load_profiles()
    found = {setting: absolute(value) for setting, value in given.items()}
    profiles.known[name] = {"server": server, **{setting: value for setting, value in found.items() if value}}
    save_profiles(profiles)
    note(f"Profile {name} is kept; `nas-client config use {name}` makes it the one that holds.")


@command.command("use", epilog=_USE_EPILOG)
@click.argument("name")
def use(name: str) -> None:
    """Let a profile hold where none is named; none for no profile."""
    profiles = load_profiles()
    profiles.find(name)
    profiles.current = "" if name == NO_PROFILE else name
    save_profiles(profiles)


@command.command("list", epilog=_LIST_EPILOG)
@output_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the profiles; the one that holds has a star."""
    profiles = load_profiles()
    if settings.output is Output.TEXT:
        rows = [
            ("*" if name == profiles.current else "", name, found["server"], _words(found))
            for name, found in sorted(profiles.known.items())
        ]
        write(table(("", "PROFILE", "SERVER", "CREDENTIALS"), rows))
    else:
        document = {"current": profiles.current, "profiles": profiles.known}
        write_document(document, is_compact=settings.output is Output.JSONL)


def _words(found: dict[str, str]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {found[name]}" for name in NAMES if name in found)


def _origin(context: click.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return _ORIGINS.get(source, "default") if source is not None else "default"
