# SPDX-License-Identifier: Apache-2.0
"""Reads the sheet of labels of KAU-BCMD, ``correctSheetlast.xlsx``, or the same table as CSV.

In the published sheet the heading of the labels is misspelt ``Assesment``, labels look like ``BIRAD 2``, and there are
empty rows. ``Image path`` looks like ``BIRAD 2/2019_BC007741_ CC_R.dcm``, though the file itself ends in jpg. An xlsx
file is a zip archive, so the sizes that it declares are checked before it is unpacked.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.data.folders.tree import FoundFile, Listing

_LABEL_HEADING = re.compile(r"ass?ess?ment", re.IGNORECASE)
_PATH_HEADING = re.compile(r"image[ _]?path", re.IGNORECASE)
_CATEGORY = re.compile(r"bi-?rads?[ _-]?([0-6])|([0-6])(?:\.0)?", re.IGNORECASE | re.ASCII)
MOST_BYTES = 16 * 2**20
"""Largest file that is read as a sheet; the published sheet has about 0.1 MiB."""
_MOST_UNPACKED = 128 * 2**20
_MOST_MEMBERS = 1000
_MOST_ROWS, _MOST_COLUMNS = 200_000, 100


class SheetFault(Exception):
    """A sheet cannot be read.

    Attributes:
        reason: what is wrong, as the end of a sentence that begins with the sheet.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The labels of a sheet. ``key_of`` of an image's name is its key.

    Attributes:
        categories: BI-RADS category by key.
        names: name of the image in the sheet, by key.
        contradictions: keys whose rows have different labels; they are left out of ``categories`` and ``names``.
    """

    categories: dict[str, int]
    names: dict[str, str]
    contradictions: frozenset[str]


def find_sheets(listing: Listing) -> list[FoundFile]:
    """Return the files that may be the sheet, those nearest to the top of the folder first."""
    found = [file for file in listing.files if file.parts[-1].casefold().endswith((".xlsx", ".csv"))]
    return sorted(found, key=lambda file: (len(file.parts), file.parts))


def key_of(name: str) -> str:
    """Return a name without its folder, ending, case and white space; equal for all names of one image."""
    stem = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"\s+", "", stem.rpartition(".")[0] or stem).casefold()


def read_sheet(name: str, content: bytes) -> Sheet | None:
    """Read a sheet.

    Args:
        name: name of its file.
        content: bytes of its file.

    Returns:
        None if the table has other columns, so that it is no sheet of labels.

    Raises:
        SheetFault: the file cannot be read.
    """
    try:
        rows = _csv_rows(content) if name.casefold().endswith(".csv") else _xlsx_rows(content)
        columns = _find_columns(next(rows, ()))
        return None if columns is None else _collect(rows, *columns)
    except (SheetFault, TimeoutError):
        raise
    except Exception as error:  # on a damaged archive openpyxl may raise any exception
        raise SheetFault("is damaged, or no sheet at all") from error


def _find_columns(headings: Sequence[object]) -> tuple[int, int] | None:
    texts = [str(heading or "").strip() for heading in headings]
    labels = [column for column, text in enumerate(texts) if _LABEL_HEADING.fullmatch(text)]
    paths = [column for column, text in enumerate(texts) if _PATH_HEADING.fullmatch(text)]
    return (labels[0], paths[0]) if labels and paths else None


def _collect(rows: Iterator[Sequence[object]], label_column: int, path_column: int) -> Sheet:
    categories: dict[str, int] = {}
    names: dict[str, str] = {}
    contradictions: set[str] = set()
    for row in rows:
        cells = [str(row[column] or "").strip() if column < len(row) else "" for column in (label_column, path_column)]
        category = _CATEGORY.fullmatch(cells[0])
        if category is None or not cells[1]:
            continue
        key, value = key_of(cells[1]), int(category[1] or category[2])
        if categories.setdefault(key, value) != value:
            contradictions.add(key)
        names.setdefault(key, cells[1])
    return Sheet(
        categories={key: value for key, value in categories.items() if key not in contradictions},
        names={key: name for key, name in names.items() if key not in contradictions},
        contradictions=frozenset(contradictions),
    )


def _csv_rows(content: bytes) -> Iterator[Sequence[object]]:
    yield from csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))


def _xlsx_rows(content: bytes) -> Iterator[Sequence[object]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > _MOST_UNPACKED:
            raise SheetFault(f"declares more than {_MOST_UNPACKED >> 20} MiB or {_MOST_MEMBERS} members")
    import openpyxl  # half a second, and only a folder with a sheet needs it

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    try:
        sheet = book.worksheets[0]
        yield from sheet.iter_rows(max_row=_MOST_ROWS, max_col=_MOST_COLUMNS, values_only=True)
    finally:
        book.close()
