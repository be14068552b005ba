# SPDX-License-Identifier: Apache-2.0
"""``--local``: one server per state folder, started when it is needed; it ends after ten idle minutes.

The server runs in a session of its own, so a search survives the terminal. Only the owner may open its socket.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from client.errors import ClientError, Exit
from nas.sockets import LONGEST_SOCKET_PATH

IDLE_SECONDS = 600
"""Unless NAS_IDLE_TIMEOUT says something else."""
START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_FOR_OTHERS = (
    *("NAS_TLS_CERT", "NAS_TLS_KEY", "NAS_TLS_CLIENT_CA", "NAS_TOKEN_FILE"),
    *("NAS_HEALTH_LISTEN", "NAS_METRICS_LISTEN"),
)
"""What an environment may say about a server for others; one of one's own has a socket that nobody else can open."""
_DATA = "data"
"""In the state folder: where data sets that are read from files lie, or a link to it."""
_LOCKED = 73
"""Exit status of a server whose state folder another server holds."""


def ensure_server(state_dir: Path) -> str:
    """Return the address of the folder's server, which is started if there is none.

    Raises:
        ClientError: there is no server to be had; the message says why and what to do.
    """
    state_dir = state_dir.expanduser().absolute()
    _require_own(state_dir)
    _link_data(state_dir)
    address = find_server(state_dir)
    if address is not None:
        return address
    _require_server_extra()
    return _start(state_dir)


def local_dataset(dataset: str) -> str:
    """Return ``NAME:PATH`` with the whole path: the server of one's own does not stand where its client does.

    Raises:
        ClientError: the path is relative and there is no folder here any more.
    """
    name, colon, path = dataset.partition(":")
    if not path:
        return dataset
    try:
        return f"{name}{colon}{Path(path).expanduser().absolute()}"
    except (OSError, RuntimeError) as error:  # RuntimeError: no such user's home
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        sentence = f"{path!r} leads nowhere from this folder ({reason}); write the path from / on."
        raise ClientError(sentence, Exit.USAGE) from error


def find_server(state_dir: Path) -> str | None:
    """Return where the folder's server listens, None if nobody answers there."""
    try:
        address = (state_dir / "address").read_text().strip()
    except OSError:
        return None
    return address if _answers(address) else None


def socket_path(state_dir: Path) -> Path:
    """Return where the folder's socket lies: in the folder, or where paths are short enough for a socket."""
    path = state_dir / "socket"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    folder = Path(tempfile.gettempdir()) / f"nas-{os.geteuid()}"
    _require_private(folder)
    return folder / hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]


def _require_private(folder: Path) -> None:
    """Make a folder in a place where others may have been first.

    Raises:
        ClientError: they have.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ClientError(
            f"{folder} is open to other users; remove it, or name a shorter --state-dir.", Exit.NOT_PERMITTED
        )


def _require_own(state_dir: Path) -> None:
    try:
        owner = state_dir.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise ClientError(f"State folder {state_dir} cannot be used: {error.strerror}.", Exit.NOT_PERMITTED) from error
    if owner != os.geteuid():
        sentence = f"State folder {state_dir} belongs to another user; name one of your own with --state-dir."
        raise ClientError(sentence, Exit.NOT_PERMITTED)


def _link_data(state_dir: Path) -> None:
    """Let ``NAS_DATA_ROOT`` hold for a server that runs already, too: its data root is a link, which is turned.

    Raises:
        ClientError: the folder cannot be written.
    """
    data_root = os.environ.get("NAS_DATA_ROOT")
    link = state_dir / _DATA
    if not data_root or (link.exists() and not link.is_symlink()):  # a folder there is the user's own
        return
    target = Path(data_root).expanduser().absolute()
    aside = link.with_name(f".{_DATA}.{os.getpid()}")
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != target:
            aside.symlink_to(target)
            aside.replace(link)
    except OSError as error:
        raise ClientError(f"State folder {state_dir} cannot be used: {error.strerror}.", Exit.NOT_PERMITTED) from error


def _require_server_extra() -> None:
    missing = [name for name in ("apsw", "structlog", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        sentence = "--local trains on this machine and needs the server: pip install 'seib-nas[server]'."
        raise ClientError(sentence, Exit.UNAVAILABLE)


def _start(state_dir: Path) -> str:
    """Start a server and wait until it serves, whoever it was that started it."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = (state_dir / "server.log").open("ab")
    except OSError as error:
        raise ClientError(f"State folder {state_dir} cannot be used: {error.strerror}.", Exit.NOT_PERMITTED) from error
    command = [sys.executable, "-m", "server", "serve", "--state-dir", str(state_dir)]
    command += ["--listen", f"unix:{socket_path(state_dir)}", "--any-path"]
    command += ["--data-root", str(state_dir / _DATA)]
    inherited = {name: value for name, value in os.environ.items() if name not in _FOR_OTHERS}
    environment = {"NAS_IDLE_TIMEOUT": str(IDLE_SECONDS), **inherited}
    with log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        address = find_server(state_dir)
        if address is not None:
            return address
        if process.poll() not in (None, _LOCKED):
            raise ClientError(f"The server did not start: {_last_words(state_dir)}", Exit.UNAVAILABLE)
        time.sleep(_POLL_SECONDS)
    sentence = f"The server did not serve within {START_SECONDS:.0f} s; {state_dir / 'server.log'} tells why."
    raise ClientError(sentence, Exit.UNAVAILABLE)


def _answers(address: str) -> bool:
    """Whether somebody accepts connections at ``unix:PATH`` or ``HOST:PORT``."""
    path = address.removeprefix("unix:")
    try:
        if path != address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(2.0)
                probe.connect(path)
        else:
            host, _, port = address.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), timeout=2.0):
                pass
    except (OSError, ValueError):
        return False
    return True


def _last_words(state_dir: Path) -> str:
    """Return the last sentence that the server wrote for people, without the word before it."""
    lines = (state_dir / "server.log").read_text(errors="replace").splitlines()
    said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return said[-1] if said else f"{state_dir / 'server.log'} tells why."
