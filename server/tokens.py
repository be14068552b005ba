# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: who may call. The server has only the SHA-256 of each token.

A file has a line for each token, ``NAME ROLE SHA256``, where ROLE is ``read`` or ``write`` and SHA256 the hash of the
token in hexadecimal; empty lines and those that begin with ``#`` are left out. It is read again when it has changed, so
a token is revoked by deleting its line.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import structlog

MAX_TOKEN_CHARACTERS = 1024
_LOOK_SECONDS = 1.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,62}", flags=re.ASCII)

log = structlog.get_logger("nas.tokens")


class Role(Enum):
    """What a caller may do; who may write may read."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        name: the principal of events and logs; empty without authentication.
    """

    name: str
    role: Role


class TokenFileError(Exception):
    """The file cannot be used."""


class Tokens:
    """The tokens of one file."""

    def __init__(self, path: Path) -> None:
        """Read the file for the first time.

        Raises:
            TokenFileError: it cannot be used.
            OSError: it cannot be read.
        """
        self._path = path
        self._next_look = 0.0
        self._stamp = _look(path)
        self._callers = read_tokens(path)

    def find(self, token: str) -> Caller | None:
        """Return whose token this is; the time that it takes does not tell how much of a wrong token is right."""
        self._refresh()
        if len(token) > MAX_TOKEN_CHARACTERS:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _refresh(self) -> None:
        """Read the file again if it has changed; if it cannot be read, keep what was read before."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        try:
            stamp = _look(self._path)
            if stamp != self._stamp:
                self._callers = read_tokens(self._path)
                self._stamp = stamp
                log.info("tokens_reloaded", count=len(self._callers))
        except (OSError, TokenFileError) as error:
            log.warning("tokens_not_reloaded", reason=str(error))


def read_tokens(path: Path) -> tuple[tuple[bytes, Caller], ...]:
    """Return hash and caller of each line.

    Raises:
        TokenFileError: a line has another form, a name or a token stands there twice, or others may write the file.
        OSError: it cannot be read.
    """
    if path.stat().st_mode & stat.S_IWOTH:
        raise TokenFileError(f"every user may write {path}; chmod o-w it")
    found: dict[bytes, Caller] = {}
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise TokenFileError(f"{path} is no text") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        digest, caller = _read_line(f"{path}, line {number}", line)
        if digest in found or caller.name in {other.name for other in found.values()}:
            raise TokenFileError(f"{path}, line {number}: the name or the token has a line already")
        found[digest] = caller
    if not found:
        raise TokenFileError(f"{path} has no token; 'nas-server token NAME --token-file {path}' adds one")
    return tuple(found.items())


def _read_line(place: str, line: str) -> tuple[bytes, Caller]:
    """Read one line; never repeat it, for it may hold a token by mistake."""
    words = line.split()
    if len(words) != 3 or words[1] not in {role.value for role in Role}:
        raise TokenFileError(f"{place}: must be NAME, read or write, and the SHA-256 of the token")
    if not is_name(words[0]):
        raise TokenFileError(f"{place}: a name has up to 63 small letters, digits and _ . @ -")
    if not re.fullmatch(r"[0-9a-f]{64}", words[2], flags=re.ASCII):
        raise TokenFileError(f"{place}: the SHA-256 of a token has 64 hexadecimal digits")
    return bytes.fromhex(words[2]), Caller(name=words[0], role=Role(words[1]))


def is_name(text: str) -> bool:
    """Whether a token can have this name."""
    return _NAME.fullmatch(text) is not None


def _look(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
