# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a real server, a small search on the handwritten digits that ship with scikit-learn, and its result.

Exit status: the client's. Every run is a new search in an empty ``.demo/state``, which stays for a look at it
afterwards; an interrupted run leaves no process and no file behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
BIN = Path(sys.executable).parent
START = (
    *("start", "--dataset", "digits", "--block", "seib", "--max-iterations", "2"),
    *("--max-epochs", "3", "--train-limit", "500", "--seed", "7"),
)
SERVING_SECONDS = 60.0
STOPPING_SECONDS = 30.0


@contextlib.contextmanager
def demo_folder() -> Iterator[Path]:
    """Yield an empty folder that no other demo uses; an interrupt removes it.

    Raises:
        SystemExit: another demo is running in this checkout.
    """
    FOLDER.mkdir(exist_ok=True)
    lock = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another demo is running in {FOLDER}; wait for it or stop it") from None
    try:
        empty(FOLDER)
        yield FOLDER
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(FOLDER)
        raise
    finally:
        os.close(lock)


def empty(folder: Path) -> None:
    """Remove what lies in a folder, but not the folder, which carries the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Yield the address of a server that is SERVING; SIGTERM ends it on the way out.

    Raises:
        SystemExit: the server ended or did not serve in time.
    """
    port_file = folder / "port"
    command = [
        *(str(BIN / "nas-server"), "serve", "--state-dir", str(folder / "state"), "--listen", "127.0.0.1:0"),
        *("--port-file", str(port_file), "--workers", "1"),
    ]
    # A session of its own: Ctrl-C reaches the client, and the server is told by SIGTERM, once.
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield address(process, port_file)
    finally:
        stop(process)


def address(process: subprocess.Popen[bytes], port_file: Path) -> str:
    """Wait for the port file and return the bound address in it."""
    deadline = time.monotonic() + SERVING_SECONDS
    while not port_file.exists():
        if process.poll() is not None:
            raise ServerError(f"the server ended with exit status {process.returncode} before it was serving")
        if time.monotonic() > deadline:
            raise ServerError(f"the server was not serving after {SERVING_SECONDS:.0f} s")
        time.sleep(0.05)
    return port_file.read_text().strip()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server with SIGTERM, or its whole session with SIGKILL when that takes too long or a person insists."""
    process.terminate()
    try:
        process.wait(STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the server did not end within {STOPPING_SECONDS:.0f} s of SIGTERM and was killed") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def client(server_address: str, *verb: str) -> int:
    """Show and run one verb of the client on this terminal; return its exit status; an interrupt ends it, too."""
    print(f"\n$ nas-client --server {server_address} {' '.join(verb)}", flush=True)
    process = subprocess.Popen([str(BIN / "nas-client"), "--server", server_address, *verb])
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal interrupted the client as well: let it have its last word.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def search_id(server_address: str) -> str:
    """Return the id of the newest search, which is this demo's."""
    command = [str(BIN / "nas-client"), "--server", server_address, "list", "--limit", "1", "--output", "jsonl"]
    (line,) = subprocess.check_output(command, text=True).splitlines()
    return str(json.loads(line)["search_id"])


class ServerError(Exception):
    """The demo's server is not to be had; the message says what happened."""


def search(folder: Path) -> int:
    """Run the search and show the server's log when anything went wrong."""
    try:
        with server(folder) as bound:
            status = client(bound, *START)
            if not status:
                status = client(bound, "children", search_id(bound))
    except ServerError as error:
        print(error, file=sys.stderr)
        status = 1
    if status:
        log = folder / "server.log"
        print(f"\nThe server's log ({log}):\n{log.read_text(errors='replace')}", file=sys.stderr)
    return status


def main() -> int:
    """Run the demo; SIGTERM counts as an interrupt."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with demo_folder() as folder:
            return search(folder)
    except KeyboardInterrupt:
        print("interrupted; the demo's server and files are gone", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
