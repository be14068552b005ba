# SPDX-License-Identifier: Apache-2.0
"""How the client shows who it is, and how it knows that the server is the right one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from client.errors import ClientError, Exit

if TYPE_CHECKING:
    import grpc

SYSTEM = "system"
"""Instead of a file for ``--tls-ca``: the authorities that gRPC comes with."""
LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")
"""How addresses begin that do not leave this machine."""
_MAX_TOKEN_CHARACTERS = 1024

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What ``--tls-ca``, ``--tls-cert``, ``--tls-key`` and ``--token-file`` say; None means not given."""

    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.tls_ca is not None or self.tls_cert is not None

    def open_channel(self, address: str, options: list[tuple[str, Any]]) -> grpc.Channel:
        """Open a channel to a server; nothing is sent yet.

        Raises:
            ClientError: a file cannot be used, or a token would leave this machine in plaintext.
        """
        import grpc

        from client.bearer import add_token

        if (self.tls_cert is None) != (self.tls_key is None):
            raise ClientError("--tls-cert and --tls-key go together; give both of them.", Exit.USAGE)
        token = self._token()
        if self.is_secure:
            channel = grpc.secure_channel(address, self._tls(), options=options)
        elif token and not address.startswith(LOOPBACK):
            sentence = f"The token would travel to {address} in plaintext; give --tls-ca as well."
            raise ClientError(sentence, Exit.USAGE)
        else:
            channel = grpc.insecure_channel(address, options=options)
        return add_token(channel, token) if token else channel

    def _tls(self) -> grpc.ChannelCredentials:
        import grpc

        authority = None if self.tls_ca in (None, SYSTEM) else _read("--tls-ca", self.tls_ca)
        key = _read("--tls-key", self.tls_key) if self.tls_key else None
        cert = _read("--tls-cert", self.tls_cert) if self.tls_cert else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if authority is not None:
                context.load_verify_locations(cadata=authority.decode())
            if self.tls_cert is not None:
                context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except (ssl.SSLError, ValueError) as error:
            files = ", ".join(f"{name} {value}" for name, value in self.given() if name != "--token-file")
            sentence = f"These are no certificates in PEM form, or no certificate with its own key: {files}."
            raise ClientError(sentence, Exit.USAGE) from error
        return grpc.ssl_channel_credentials(authority, key, cert)

    def _token(self) -> str:
        if self.token_file is None:
            return ""
        text = _read("--token-file", self.token_file).decode(errors="replace").strip()
        if not text.isascii() or not text.isprintable() or not 0 < len(text) <= _MAX_TOKEN_CHARACTERS or " " in text:
            raise ClientError(f"--token-file {self.token_file} must hold one token and nothing else.", Exit.USAGE)
        return text

    def given(self) -> Iterator[tuple[str, str]]:
        """Yield each option that has a value, with it."""
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                yield f"--{field.name.replace('_', '-')}", value


NAMES = tuple(field.name for field in fields(Credentials))

_HELP = {
    "tls_ca": "Speak TLS with a server that this authority vouches for; PEM, or system.",
    "tls_cert": "Certificate to show the server, PEM.",
    "tls_key": "Its private key.",
    "token_file": "File with the token that the server's operator has made.",
}


VARIABLES = {name: f"NAS_CLIENT_{name.upper()}" for name in NAMES}
"""Their environment variables; without CLIENT they would be those of a server on this machine."""


def credential_options(command: Command) -> Command:
    """Give a command the options about credentials."""
    for name in reversed(NAMES):
        option = f"--{name.replace('_', '-')}"
        add = click.option(option, metavar="FILE", envvar=VARIABLES[name], allow_from_autoenv=False, help=_HELP[name])
        command = add(command)
    return command


def find_credentials(context: click.Context) -> Credentials:
    """Return those of the command line, the environment or the profile; a profile's are for its own server only."""
    is_profiles_server = context.get_parameter_source("server") is ParameterSource.DEFAULT_MAP
    found = {}
    for name in NAMES:
        if is_profiles_server or context.get_parameter_source(name) is not ParameterSource.DEFAULT_MAP:
            found[name] = context.params.get(name)
    return Credentials(**found)


def absolute(path: str | None) -> str | None:
    """Write a path so that it means the same from every folder."""
    return path if path is None or path == SYSTEM else os.path.abspath(os.path.expanduser(path))


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ClientError(f"{option} {path} cannot be read: {error.strerror}.", Exit.USAGE) from error
