# SPDX-License-Identifier: Apache-2.0
"""INbreast (Moreira et al. 2012): ``INbreast.csv`` and ``AllDICOMs/22678622_61b13c59bcba149e_MG_R_CC_ANON.dcm``.

The sheet is divided by semicolons and names films by the first number of their files. Its column of patients says
"removed"; the patient is the second part of the file's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath

from client.published.listing import Listed, Release, require_found

_SHEET = "INbreast.csv"
_NAME = re.compile(r"([0-9]+)_([0-9a-z]+)_", re.IGNORECASE | re.ASCII)
_CATEGORY = re.compile(r"([0-6])[abc]?", re.IGNORECASE | re.ASCII)


def list_inbreast(release: Release) -> list[Listed]:
    """List the films with their BI-RADS category; 4a, 4b and 4c are 4.

    Raises:
        ClientError: the folder is no copy of the set.
    """
    sheet = release.find_sheet(_SHEET)
    if sheet is None:
        raise release.fault(f"there is no {_SHEET} in it; export it from INbreast.xls, divided by semicolons")
    films: dict[str, list[tuple[PurePosixPath, str]]] = defaultdict(list)
    for path in release.images():
        name = _NAME.match(path.name)
        if name is not None:
            films[name[1]].append((path, name[2]))
    categories = _read_categories(release, sheet)
    require_found(release, [film for film in categories if film not in films], len(categories))
    listed = []
    for film, category in categories.items():
        (place, patient), *others = films[film]
        if others:
            raise release.fault(f"{place} and {others[0][0]} are the same film; keep one of them")
        listed.append(Listed(path=place, label=f"BI-RADS {category}", group=patient))
    return listed


def _read_categories(release: Release, sheet: PurePosixPath) -> dict[str, str]:
    categories: dict[str, str] = {}
    for line, row in release.rows(sheet, ("file name", "bi-rads"), ";"):
        film, category = row["file name"], _CATEGORY.fullmatch(row["bi-rads"])
        if not film.isdecimal():
            continue  # sums and notes stand below the table
        if category is None:
            raise release.fault(f"line {line} of {sheet} has no BI-RADS category")
        if categories.setdefault(film, category[1]) != category[1]:
            raise release.fault(f"line {line} of {sheet} gives film {film} another category than a line above")
    if not categories:
        raise release.fault(f"{sheet} lists no film")
    return categories
