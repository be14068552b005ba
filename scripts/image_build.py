# SPDX-License-Identifier: Apache-2.0
"""Build the image without a container engine or a registry: buildah, on a Debian base that is made on the spot.

The build uses what this machine's pip is told (its configuration, its folders of wheels, its certificates); nothing of
that stays in the image.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE = "localhost/seib-nas-base:bookworm"
IMAGE = "localhost/seib-nas:test"
PACKAGES = "ca-certificates,python3,python3-venv"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
TOOLS = {"buildah": "buildah", "podman": "podman", "runc": "runc", "conmon": "conmon", "mmdebstrap": "mmdebstrap"}
"""Programs by Debian's packages."""


def require_tools() -> None:
    """End with one sentence if something is missing that only root can install."""
    missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if missing:
        sys.exit(
            f"Missing: {', '.join(missing)}. On Debian: apt-get install --no-install-recommends {' '.join(missing)}"
        )
    if os.geteuid():
        sys.exit("Building and running without an engine needs root; run this as root or in a virtual machine.")


def run(command: Sequence[str | Path]) -> str:
    """Run a command that has to succeed; return what it printed."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{finished.stdout[-4000:]}{finished.stderr[-4000:]}")
    return finished.stdout.strip()


def ensure_base(folder: Path) -> None:
    """Make the base unless it is there: Debian, Python, nothing else."""
    found = subprocess.run(["buildah", "inspect", "--type", "image", BASE], capture_output=True, check=False)
    if not found.returncode:
        return
    tree = folder / "base"
    run(["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tree])
    container = run(["buildah", "from", "scratch"])
    try:
        mounted = run(["buildah", "mount", container])
        run(["cp", "-a", f"{tree}/.", f"{mounted}/"])
        run(["buildah", "umount", container])
        run(
            [
                "buildah",
                "config",
                "--env",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                container,
            ]
        )
        run(["buildah", "commit", container, BASE])
    finally:
        run(["buildah", "rm", container])
        shutil.rmtree(tree)


def build(folder: Path, constraints: str) -> None:
    """Build the image on the base, with the versions of a constraints file."""
    command: list[str | Path] = ["buildah", "build", "--isolation", "chroot", "--network", "host", "--layers"]
    for mount in _trust(folder):
        command += ["--volume", mount]
    arguments = {
        "BASE_IMAGE": BASE,
        "CONSTRAINTS": constraints,
        "REVISION": run(["git", "rev-parse", "HEAD"]),
        "CREATED": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    run([*command, "--tag", IMAGE, ROOT])


def _trust(folder: Path) -> list[str]:
    """Mounts that give the build this machine's pip settings and certificates."""
    said = run([sys.executable, "-m", "pip", "config", "list"])
    settings = dict(line.split("=", 1) for line in said.splitlines())
    parser = configparser.ConfigParser(interpolation=None)
    parser["global"] = {}
    mounts = []
    for option in ("index-url", "extra-index-url", "find-links", "trusted-host"):
        words = {word for scope in ("global", ":env:") for word in _value(settings, f"{scope}.{option}").split()}
        folders = sorted(word for word in words if Path(word).is_dir())
        mounts += [f"{path}:{path}:ro" for path in folders]
        # An index in a folder leads to files outside of it, which the build cannot see.
        kept = [*sorted(word for word in words if word.startswith("http")), *folders]
        if kept:
            parser["global"][option] = " ".join(kept)
    if CERTIFICATES.exists():
        parser["global"]["cert"] = str(CERTIFICATES)
        mounts.append(f"{CERTIFICATES}:{CERTIFICATES}:ro")
    configuration = folder / "pip.conf"
    with configuration.open("w") as file:
        parser.write(file)
    return [*mounts, f"{configuration}:/etc/pip.conf:ro"]


def _value(settings: dict[str, str], name: str) -> str:
    """One setting as pip shows it, without quotes and line breaks."""
    return settings.get(name, "").strip("'").replace("\\n", " ")
