# SPDX-License-Identifier: Apache-2.0
"""What the documentation points at exists: files, tests by name, and make targets."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = "py|pyi|md|toml|proto|yaml|txt|cff|binpb"
TOP_LEVEL = "nas|server|client|proto|tests|docs|scripts|constraints"
IS_PATH = re.compile(
    rf"(?:(?:{TOP_LEVEL})/[\w./{{}},-]*|[\w./{{}},-]+/[\w.{{}},-]+\.(?:{SUFFIXES})|\w+\.(?:{SUFFIXES}))"
)


def documents() -> list[Path]:
    """Return what people read; the change log speaks of the past, too, and is left out."""
    return [
        path for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]) if path.name != "CHANGELOG.md"
    ]


def quoted(text: str) -> list[str]:
    """Return what stands in backticks, without fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def expand(path: str) -> list[str]:
    """Spell ``nas/models/{blocks,build}.py`` out."""
    parts = [part.split(",") for part in re.split(r"[{}]", path)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def broken_paths(text: str, folder: Path) -> list[str]:
    """Return the quoted paths, ``path::test`` names and Markdown links that lead nowhere."""
    broken = []
    for quote in quoted(text):
        path, _, test = quote.partition("::")
        if IS_PATH.fullmatch(path):
            broken += [name for name in expand(path) if not (ROOT / name).exists()]
            if test and f"def {test}(" not in (ROOT / path).read_text():
                broken.append(quote)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return broken + [link for link in links if "://" not in link and not (folder / link).exists()]


def broken_targets(text: str) -> list[str]:
    """Return the quoted make commands whose target the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    commands = re.findall(r"^(?:\$ )?make ([a-z-]+)", "\n".join([*quoted(text), text]), flags=re.MULTILINE)
    return [target for target in commands if target not in targets]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_point_at_what_exists(document: Path) -> None:
    """Each path, test and make target that a document names is there."""
    text = document.read_text()

    assert not broken_paths(text, document.parent)
    assert not broken_targets(text)


@pytest.mark.parametrize(
    "text",
    [
        "see `nas/gone.py`",
        "see `gone/gone.md`",
        "see `gone.toml`",
        "see `nas/{seeds,gone}.py`",
        "see `tests/contract/test_docs_links.py::test_gone`",
        "see [there](gone.md)",
    ],
)
def test_broken_paths_are_seen(text: str) -> None:
    """Each way to point at a file is understood."""
    assert broken_paths(text, ROOT)


def test_broken_targets_are_seen() -> None:
    """A make command is checked in prose and in a block of commands."""
    assert broken_targets("run `make gone`")
    assert broken_targets("```\n$ make gone\n```")


def test_what_exists_is_accepted() -> None:
    """The check is quiet about paths that are there and about code that is no path."""
    text = "`nas/seeds.py`, `nas/{seeds,child}.py`, `nas/`, `pyproject.toml`, `x/255`, `nas.api.v1`, `make setup`"

    assert not broken_paths(f"{text} `tests/contract/test_docs_links.py::test_what_exists_is_accepted`", ROOT)
    assert not broken_targets(text)
