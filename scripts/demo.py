# SPDX-License-Identifier: Apache-2.0
"""``make demo``: a small search on the handwritten digits that ship with scikit-learn, through a server of its own.

The server is the one that ``nas-client --local`` starts; it leaves a few seconds after the last call. Every run is a
new search in ``.demo``. Exit status: the client's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STATE_DIR = Path(__file__).resolve().parent.parent / ".demo"
CLIENT = (str(Path(sys.executable).parent / "nas-client"), "--local")
SEARCH = (
    *("start", "--dataset", "digits", "--block", "seib", "--max-iterations", "1"),
    *("--min-steps", "200", "--finish", "none", "--seed", "7"),
)
IDLE_SECONDS = 5


def run(*verb: str) -> int:
    """Show a command and run it on this terminal; return its exit status."""
    print(f"\n$ nas-client --local {' '.join(verb)}", flush=True)
    environment = {**os.environ, "NAS_STATE_DIR": str(STATE_DIR), "NAS_IDLE_TIMEOUT": str(IDLE_SECONDS)}
    process = subprocess.Popen([*CLIENT, *verb], env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal interrupted the client as well: it says how to come back
            continue


def main() -> int:
    """Run the demo and say where everything is."""
    status = run(*SEARCH)
    if not status:
        status = run("list")
    folder = STATE_DIR.relative_to(Path.cwd()) if STATE_DIR.is_relative_to(Path.cwd()) else STATE_DIR
    print(
        f"\nWeights, journal and logs are in {folder}; NAS_STATE_DIR={folder} nas-client --local get SEARCH shows more."
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
