# SPDX-License-Identifier: Apache-2.0
"""The MIAS mini-database (Suckling et al. 1994, 2015): ``Info.txt`` and ``mdb001.pgm`` to ``mdb322.pgm``.

A line of ``Info.txt`` is an abnormality: film, tissue, class, severity, and where it is. A film with several has
several lines; a normal one has one without severity. Films come in pairs of one woman: mdb001 and mdb002, mdb003 and
mdb004.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from client.published.listing import Listed, Release, require_found

_SHEET = "Info.txt"
_LINE = re.compile(r"(mdb([0-9]{3}))\s+[FGD]\s+(NORM|CALC|CIRC|SPIC|MISC|ARCH|ASYM)\b\s*([BM]\b)?")
_LABELS = {"": "normal", "B": "benign", "M": "malignant"}
_GRAVEST = tuple(_LABELS.values())


def list_mias(release: Release) -> list[Listed]:
    """List the films, each with the gravest of its abnormalities.

    Raises:
        ClientError: the folder is no copy of the set.
    """
    sheet = release.find_sheet(_SHEET)
    if sheet is None:
        raise release.fault(f"there is no {_SHEET} in it")
    labels: dict[str, str] = {}
    for number, line in enumerate(release.read(sheet).splitlines(), 1):
        found = _LINE.match(line.strip())
        if found is None:
            continue  # the publisher's explanations stand above and below
        film, severity = found[1], found[4] or ""
        if (found[3] == "NORM") == bool(severity):
            raise release.fault(f"line {number} of {sheet} gives {film} no severity that fits its class {found[3]}")
        labels[film] = max(labels.get(film, "normal"), _LABELS[severity], key=_GRAVEST.index)
    if not labels:
        raise release.fault(f"{sheet} has no line such as 'mdb001 G CIRC B 535 425 197'")
    films = _films(release, labels)
    return [
        Listed(path=films[film], label=label, group=f"films {_pair(film)} and {_pair(film) + 1}")
        for film, label in labels.items()
    ]


def _films(release: Release, labels: dict[str, str]) -> dict[str, PurePosixPath]:
    films: dict[str, PurePosixPath] = {}
    for file in release.images():
        film = file.stem.lower()
        if film in labels and film in films:
            raise release.fault(f"{films[film]} and {file} are the same film; keep one of them")
        films[film] = file
    require_found(release, [film for film in labels if film not in films], len(labels))
    return films


def _pair(film: str) -> int:
    """The first film of a woman."""
    number = int(film.removeprefix("mdb"))
    return number - (number + 1) % 2
