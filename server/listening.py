# SPDX-License-Identifier: Apache-2.0
"""Addresses: HOST:PORT on this machine or beyond, and sockets in the file system that only their owner can open."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import grpc

from nas.sockets import LONGEST_SOCKET_PATH

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second server binds the same port without an error
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
"""Options of every gRPC server of this program."""

_UNIX = "unix:"


class ListenError(Exception):
    """The server cannot listen on an address."""

    def __init__(self, listen: str, reason: str, option: str = "--listen") -> None:
        super().__init__(f"cannot listen on {listen}: {reason}; choose another address with {option}")
        self.listen = listen


def check_address(listen: str) -> str:
    """Check the form of an address and return it.

    Raises:
        ValueError: it is not HOST:PORT, and not unix:PATH with an absolute path of a length that a socket can have.
    """
    path = socket_path(listen)
    if path is not None:
        if not path.is_absolute() or len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            raise ValueError(f"the path of a socket must be absolute and at most {LONGEST_SOCKET_PATH} bytes long")
        return listen
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"must be HOST:PORT or unix:PATH, for example 127.0.0.1:50051, not {listen!r}")
    return listen


def socket_path(listen: str) -> Path | None:
    """Return the path of ``unix:PATH``; None for HOST:PORT."""
    return Path(listen.removeprefix(_UNIX)) if listen.startswith(_UNIX) else None


def is_loopback(listen: str) -> bool:
    """Whether only this machine can connect."""
    if socket_path(listen) is not None:
        return True
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(
    server: grpc.aio.Server,
    listen: str,
    option: str = "--listen",
    credentials: grpc.ServerCredentials | None = None,
) -> str:
    """Bind and return the address, with the port that was picked for port 0.

    Args:
        server: the gRPC server.
        listen: the address.
        option: the option that named it, for messages.
        credentials: for TLS; None for plaintext.

    Raises:
        ListenError: it is taken, or may not be used.
    """
    path = socket_path(listen)
    if path is None:
        try:
            port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
            return f"{listen.rpartition(':')[0]}:{port}"
        except RuntimeError as error:
            raise ListenError(listen, "another program may be using the port", option) from error
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_answering(path):
        raise ListenError(listen, "another server is using the socket", option)
    if not path.is_socket() and os.path.lexists(path):
        raise ListenError(listen, "there is a file that is no socket", option)
    path.unlink(missing_ok=True)  # left by a server that was killed
    mask = os.umask(0o177)  # before the socket exists: it is never open to others, not even for a moment
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise ListenError(listen, "the socket cannot be made", option) from error
    finally:
        os.umask(mask)
    return listen


def is_answering(path: Path) -> bool:
    """Whether somebody accepts connections on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
