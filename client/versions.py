# SPDX-License-Identifier: Apache-2.0
"""Client and server of neighbouring minor versions work together; what one of them lacks is said in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from client.errors import ClientError, Exit

if TYPE_CHECKING:
    from google.protobuf.message import Message


def client_version() -> str:
    """Version of the installed distribution."""
    try:
        return metadata.version("seib-nas")
    except metadata.PackageNotFoundError:
        return "unknown"


def is_older(server: str) -> bool:
    """Whether a server's version is older than this client's; false if one of them is no version."""
    theirs, ours = _minor(server), _minor(client_version())
    return theirs is not None and ours is not None and theirs < ours


def require_understood(asked: Message, understood: Message, address: str) -> None:
    """Check that a server has not passed over a setting, as one that does not know it does.

    Args:
        asked: what was sent.
        understood: what the server made of it, with its defaults filled in.
        address: of the server.

    Raises:
        ClientError: it has.
    """
    ignored = [f"--{name.replace('_', '-')}" for name in _ignored(asked, understood)]
    if ignored:
        raise ClientError(
            f"The server at {address} is older than this client and does not know {', '.join(ignored)}; "
            "upgrade the server, or leave that out.",
            Exit.USAGE,
        )


def _ignored(asked: Message, understood: Message) -> Iterator[str]:
    known = {field.number for field, _ in understood.ListFields()}
    for field, value in asked.ListFields():
        if field.number not in known:
            yield field.name
        elif field.message_type is not None and field.message_type.file.package == asked.DESCRIPTOR.file.package:
            yield from _ignored(value, getattr(understood, field.name))


def _minor(version: str) -> tuple[int, int] | None:
    match = re.match(r"([0-9]{1,9})\.([0-9]{1,9})", version)
    return match and (int(match[1]), int(match[2]))
