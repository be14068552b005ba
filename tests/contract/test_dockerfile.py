# SPDX-License-Identifier: Apache-2.0
"""The Dockerfile: clean for hadolint, pinned, without rights, and with everything that it copies."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = TEXT[TEXT.rindex("\nFROM ") :]


def test_hadolint_finds_nothing() -> None:
    """No rule of hadolint is broken and none is switched off."""
    hadolint = Path(sys.executable).parent / "hadolint"
    finished = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (0, "") == (finished.returncode, finished.stdout)
    assert "hadolint ignore" not in TEXT


def test_base_is_pinned() -> None:
    """Both stages start from one image, by digest, which can be replaced from outside."""
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE)
    assert ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"] == re.findall(r"^FROM (.*)$", TEXT, re.MULTILINE)


def test_program_starts_without_rights_and_gets_its_signals() -> None:
    """The user is a number, so that runAsNonRoot can be checked, and no shell stands before the program."""
    assert re.search(r"^USER 10001:10001$", FINAL_STAGE, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["nas-server"\]$', FINAL_STAGE, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", FINAL_STAGE, re.MULTILINE)


def test_version_is_that_of_the_tree() -> None:
    """The label says what is in the image."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"\nARG VERSION={version}\n" in FINAL_STAGE


def test_context_holds_what_is_copied() -> None:
    """What is copied passes the ignore file and is there, and nothing else goes to the builder."""
    words = [line.split()[1:-1] for line in TEXT.splitlines() if line.startswith("COPY ") and "--from" not in line]
    copied = {word for line in words for word in line}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()

    assert copied == {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert ignore.index("*") < min(number for number, line in enumerate(ignore) if line.startswith("!"))
    assert all((ROOT / name).exists() for name in copied)
